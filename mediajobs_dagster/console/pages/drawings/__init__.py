"""Plots as values: where each part lies, in percent of the width. Templates make SVG of them."""
