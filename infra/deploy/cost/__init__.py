"""The monthly cost of a deployment: list prices, and an estimate from them."""
