"""N-grams: counted, smoothed, read from ARPA files and written to them."""
