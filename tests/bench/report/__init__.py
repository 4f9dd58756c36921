"""The record of runs, and the page that shows them."""
