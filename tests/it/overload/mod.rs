//! Clients by the thousand that send nothing, or next to nothing, while others go on: the real program,
//! measured from outside. It lives, the others are served, and the books are right.

mod crowd;
mod idle;
mod ordinary;
mod scene;
mod slow;
mod small;
mod table;
mod upstream;
