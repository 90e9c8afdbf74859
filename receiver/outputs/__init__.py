"""What is stored and how it is named: shapes and rules that both sides share."""
