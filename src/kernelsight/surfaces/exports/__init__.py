"""What other monitoring systems read: the newest values of every series, under their names and in their units."""
