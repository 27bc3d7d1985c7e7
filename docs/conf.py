"""How Sphinx builds these pages: offline, and with every warning an error."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The sources come first, so that the pages describe this checkout, installed or not.
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent), str(HERE.parent / "modules")]

import pgmgraph  # noqa: E402

project = "pgmgraph"
author = "the pgmgraph authors"
project_copyright = author
version = release = pgmgraph.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings", "mathml"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pgmgraph {release}"

html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# Docstrings put code in single backticks.
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
# A dataclass lists its fields once, in its own docstring.
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
napoleon_custom_sections = [("Ports", "params_style")]
