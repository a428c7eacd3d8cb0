"""Tests of what needs no other program: `python3 -m unittest discover -t benches/compare -s benches/compare/tests`."""
