"""Measures Faregate beside other proxies that do the same work, in one run on one machine."""
