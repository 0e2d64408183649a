"""What `make test-NN` runs: see main.py, and "The runner" in ../README.md."""
