"""The doors to the outside. Deadlines, paging, throttling and the cost counter live here."""
