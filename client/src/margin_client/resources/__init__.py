"""The collections of the API, one class each."""
