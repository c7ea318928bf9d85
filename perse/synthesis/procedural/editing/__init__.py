"""Editor of portraits from structured prompts: paint for what lies in the skin, 3D attachments for what is worn."""

from perse.synthesis.procedural.editing.editor import ProceduralEditor, ProceduralEditorConfig
from perse.synthesis.procedural.editing.painted import PaintedEdit

__all__ = ["PaintedEdit", "ProceduralEditor", "ProceduralEditorConfig"]
