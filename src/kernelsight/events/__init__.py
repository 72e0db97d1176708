"""Every kind of event, declared once; tables, decoder, columns and docs are derived from here."""
