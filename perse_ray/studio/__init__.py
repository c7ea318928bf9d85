"""Studio: from a photograph in the browser to a living avatar, on this machine.

::

    page ─► routes ─┬► projects     what a person has said so far, in the workspace itself
                    ├► looking      faces, parts and fit, before anything is built
                    ├► builds       a queue of `perse build` processes, which outlive the page and the server
                    └► removal      everything of a person, as `perse forget` does it
"""
