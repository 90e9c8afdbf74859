"""Other tools that take a batch's results, by their own wheels, beside ours."""
