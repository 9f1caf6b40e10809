"""The rules: pure functions over located objects, each yielding what is wrong."""
