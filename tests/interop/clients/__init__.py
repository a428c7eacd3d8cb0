"""The clients, a file each: what each of them does, and what it must see."""
