# Everything is made inside this folder: .env/ (Python environments), .understudy/ (face networks, jobs),
# .build/ (footage, scratch), demo/ (what the demo makes). `make clean` removes all of it.

PYTHON ?= python3
SHOT ?=
FACE ?=
MINUTES ?= 5
OUT ?= demo
WORKERS ?= 2

ENGINE := .env/engine
BPY := .env/bpy50
# modules of the add-on that do without bpy, and are checked like the engine
BPY_FREE := sequencer.timeline side_process.launcher side_process.poller \
  side_process.preview_requests side_process.installer state.consent_records sequencer.picture_geometry \
  state.face_boxes state.coverage engine_link.environment engine_link.reports \
  engine_link.sidecar side_process.main engine_link.handles
export UNDERSTUDY_HOME ?= $(CURDIR)/.understudy
export UNDERSTUDY_ENGINE_PYTHON := $(CURDIR)/$(ENGINE)/bin/python
# pip's cache may be owned by another user in containers; the rest keeps two cores from fighting over spin locks
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export OMP_WAIT_POLICY := PASSIVE

PYTHON313 := $(shell tools/find_python.sh 3.13)
BPYS := $(BPY) .env/bpy45 $(if $(PYTHON313),.env/bpy52)

.PHONY: demo test lint engine models blender blenders footage test-engine test-blender test-gui window package release wheels clean

demo: announce-demo engine models blender
	$(BPY)/bin/python tools/demo.py --engine-python $(UNDERSTUDY_ENGINE_PYTHON) --out $(OUT) --minutes $(MINUTES) \
	  $(if $(SHOT),--shot "$(SHOT)") $(if $(FACE),--face "$(FACE)")

.PHONY: announce-demo
announce-demo:
	@echo "The demo makes two Python environments in .env/ (the engine's and Blender's; some 3 GB, one or two minutes),"
	@echo "fetches the face networks and the footage, then recasts a face in Blender and trains for $(MINUTES) minutes."
	@echo "On two processor cores all of it takes about $$(( $(firstword $(subst ., ,$(MINUTES))) + 4 )) minutes."

# the engine's tests in two processes and Blender's beside them: all of them wait much
test: lint blenders models footage
	@$(MAKE) --no-print-directory test-blender >.build/test-blender.log 2>&1 & beside=$$!; \
	$(MAKE) --no-print-directory test-engine; engine=$$?; \
	wait $$beside; blender=$$?; cat .build/test-blender.log; exit $$((engine + blender))

lint: engine
	$(ENGINE)/bin/ruff check
	$(ENGINE)/bin/ruff format --check
	$(ENGINE)/bin/lint-imports --no-cache
	mkdir -p .build/path && ln -sfn ../.. .build/path/understudy
	MYPYPATH=.build/path $(ENGINE)/bin/mypy -p understudy.engine $(addprefix -m understudy.addon.,$(BPY_FREE))

test-engine: engine models footage
	OMP_NUM_THREADS=1 $(ENGINE)/bin/python -m pytest tests --ignore=tests/blender --ignore=tests/gui \
	  -n $(WORKERS) --dist loadfile

test-blender: engine models footage blenders
	$(ENGINE)/bin/python tools/package.py
	set -e; for environment in $(BPYS); do $$environment/bin/python -m pytest tests/blender; done

# the place of the desktop Blender that test-gui works; it makes it itself where this was not run before
window:
	@tools/test_gui.sh --prepare

# a desktop Blender in a window of its own; skipped with the reason where it cannot be had
test-gui: engine models footage blender
	@tools/test_gui.sh $(ENGINE)/bin/python

engine:
	@$(PYTHON) tools/environment.py $(ENGINE) --editable . --group engine-dev

models: engine
	@$(ENGINE)/bin/understudy models fetch --voice

blender:
	@tools/system_libraries.sh
	@$(PYTHON) tools/environment.py $(BPY) bpy==5.0.1 --group blender-dev

blenders: blender
	@$(PYTHON) tools/environment.py .env/bpy45 bpy==4.5.15 --group blender-dev
ifneq ($(PYTHON313),)
	@$(PYTHON) tools/environment.py --python $(PYTHON313) .env/bpy52 bpy==5.2.3 --group blender-dev
else
	@echo "SKIPPED: the add-on's tests in bpy 5.2, which needs a Python 3.13 and none was found"
endif

footage: engine
	@$(ENGINE)/bin/python tools/footage.py

package: engine blender
	$(ENGINE)/bin/python tools/package.py

# all that a release consists of, into dist/ (docs/dev/contributing.md says how to publish it)
release: engine blender
	$(ENGINE)/bin/python tools/release.py --bpy-environment $(BPY)

# what a computer without the network needs for its set-up
WHEELS ?= wheels
wheels: engine
	$(ENGINE)/bin/python tools/wheels.py $(WHEELS) $(if $(DEVICE),--device $(DEVICE))

clean:
	rm -rf .env .understudy .build demo dist wheels build understudy.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
