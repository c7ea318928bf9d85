"""Contact sheets, curves and the page that shows them."""
