"""A simulation of very many connections, made of the product's own constants and functions."""
