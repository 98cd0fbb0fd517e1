def download(places, server, page, folder):
    """Write what server.get(page) returns to the file folder / page; if it raises OSError, write "failed"."""
    # <your turn>
    #: text = server.get(page)  # only while holding a place
    with places:
        try:
            text = server.get(page)
        except OSError:
            text = "failed"
    # </your turn>
    (folder / page).write_text(text)
