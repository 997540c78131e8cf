"""What a recipe takes before it runs: tokens, memory, time; and what a machine offers."""
