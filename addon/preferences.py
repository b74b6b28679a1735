"""The add-on's preferences."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty, StringProperty

from . import keymap
from .constants import ROOT_PACKAGE
from .engine_link import engine_setup
from .panels.status import which_engine


class UnderstudyPreferences(bpy.types.AddonPreferences):
    """Where the engine is and where projects are kept."""

    bl_idname = ROOT_PACKAGE

    engine_python: StringProperty(
        name="Engine's Python",
        description="The Python program of the environment that the engine is installed in. "
        "Empty: the environment variable UNDERSTUDY_ENGINE_PYTHON, or the one in Understudy's own folder",
        subtype="FILE_PATH",
    )
    wheels: StringProperty(
        name="Folder of Wheels",
        description="A folder that holds every package the engine needs: then it is set up without the network",
        subtype="DIR_PATH",
    )
    project_location: StringProperty(
        name="Keep Projects In",
        description="The folder that scans, models and recast movies are kept in. "
        "Empty: beside each .blend, in a folder of its name",
        subtype="DIR_PATH",
    )

    remote_address: StringProperty(
        name="Remote Engine",
        description="Where a tunnel to another machine's engine begins on this computer, "
        "such as http://127.0.0.1:7860 after: ssh -N -L 7860:127.0.0.1:7860 MACHINE",
    )
    remote_token_file: StringProperty(
        name="Its Token File",
        description="A copy of the token file that the remote engine was started with "
        "(understudy serve --port 7860 --token-file FILE)",
        subtype="FILE_PATH",
    )

    preview_cache: IntProperty(
        name="Preview Memory (MB)",
        description="How much of the graphics card's memory recast frames may take that were seen already",
        default=512,
        min=32,
        soft_max=4096,
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        engine_setup.draw(layout, lambda text, icon: layout.label(text=text, icon=icon, translate=False))
        column = layout.column()
        column.use_property_split = True
        column.prop(self, "wheels")
        column.prop(self, "engine_python")
        column.prop(self, "project_location")
        column.prop(self, "preview_cache")
        column.prop(self, "remote_address")
        column.prop(self, "remote_token_file")
        column.label(text=which_engine(), icon="INFO", translate=False)
        row = column.row(align=True)
        row.operator("understudy.use_remote", icon="URL")
        row.operator("understudy.use_this_computer")
        row = column.row(align=True)
        row.operator("understudy.start_engine")
        row.operator("understudy.stop_engine")
        row.operator("understudy.remove_engine", icon="TRASH")
        layout.label(text="Keys")
        keymap.draw(layout, context)
