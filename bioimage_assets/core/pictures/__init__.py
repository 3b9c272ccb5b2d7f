"""Plate maps, montages and reports."""
