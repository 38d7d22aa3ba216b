"""What happens between the start of an engine and its first answer, told as it goes."""
