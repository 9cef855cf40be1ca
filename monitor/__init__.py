"""Downstream of affect events: windows, negative-spike alerts, and the page that shows them."""
