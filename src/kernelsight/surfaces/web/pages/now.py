"""How the machine is."""

from kernelsight.surfaces.web.page import Page, page

page(Page("now", "Now", "/", "now.html", rank=1))
