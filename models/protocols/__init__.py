"""What is done to the cells and when, and the text that says it."""
