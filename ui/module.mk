# SPDX-License-Identifier: Apache-2.0
# ui: L6, the web pages; they speak only the public HTTP API. npm's esbuild bundles ui/src into
# ui/dist of the build tree, ui/embed.sh turns that into C. A release tarball carries ui/dist.
UI_PAGES = %D%/dist/index.html %D%/dist/app.js %D%/dist/app.css %D%/dist/favicon.svg
UI_INPUTS = \
	%D%/src/ahead.ts \
	%D%/src/alerts.tsx \
	%D%/src/api.ts \
	%D%/src/app.css \
	%D%/src/chart.tsx \
	%D%/src/editor.tsx \
	%D%/src/favicon.svg \
	%D%/src/feed.ts \
	%D%/src/forecasts.tsx \
	%D%/src/functions.ts \
	%D%/src/graph.tsx \
	%D%/src/grid.ts \
	%D%/src/host.tsx \
	%D%/src/hosts.tsx \
	%D%/src/index.html \
	%D%/src/live.ts \
	%D%/src/main.tsx \
	%D%/src/panels.ts \
	%D%/src/parts.tsx \
	%D%/src/promql.ts \
	%D%/src/query.tsx \
	%D%/src/rangepicker.tsx \
	%D%/src/router.ts \
	%D%/src/scalers.tsx \
	%D%/src/sparkline.tsx \
	%D%/src/status.tsx \
	%D%/src/styles.d.ts \
	%D%/src/store.ts \
	%D%/src/theme.ts \
	%D%/src/time.ts \
	%D%/src/units.ts
UI_TOOLING = %D%/build.mjs %D%/package.json %D%/package-lock.json %D%/tsconfig.json %D%/.npmrc

EXTRA_DIST += $(UI_INPUTS) $(UI_TOOLING) $(UI_PAGES) %D%/embed.sh

if BUILD_SERVER
noinst_LIBRARIES += %D%/libui.a
%C%_libui_a_SOURCES = %D%/pages.c %D%/pages.h %D%/files.h
nodist_%C%_libui_a_SOURCES = %D%/files.c
endif
CLEANFILES += %D%/files.c

if UI_NPM
# One installation serves every build folder; npm itself writes the file that says it is complete.
$(srcdir)/%D%/node_modules/.package-lock.json: %D%/package-lock.json
	$(AM_V_GEN)cd $(srcdir)/%D% && $(NPM) ci --omit=dev --loglevel=error >/dev/null && touch node_modules/.package-lock.json

# One run of esbuild writes all four; the others wait for the first and appear with it.
%D%/dist/index.html: $(UI_INPUTS) %D%/build.mjs $(srcdir)/%D%/node_modules/.package-lock.json
	$(AM_V_GEN)$(NODE) $(srcdir)/%D%/build.mjs %D%/dist
%D%/dist/app.js %D%/dist/app.css %D%/dist/favicon.svg: %D%/dist/index.html
	@test -f $@ && touch $@ || { rm -f %D%/dist/index.html; $(MAKE) $(AM_MAKEFLAGS) %D%/dist/index.html; }

%D%/files.c: %D%/embed.sh $(UI_PAGES)
	$(AM_V_GEN)$(SHELL) $(srcdir)/%D%/embed.sh %D%/dist >$@.tmp && mv $@.tmp $@
CLEANFILES += $(UI_PAGES)
else
if UI_SHIPPED
%D%/files.c: %D%/embed.sh $(UI_PAGES)
	$(AM_V_GEN)mkdir -p %D% && $(SHELL) $(srcdir)/%D%/embed.sh $(srcdir)/%D%/dist >$@.tmp && mv $@.tmp $@
else
%D%/files.c: %D%/embed.sh
	$(AM_V_GEN)mkdir -p %D% && $(SHELL) $(srcdir)/%D%/embed.sh >$@.tmp && mv $@.tmp $@
$(UI_PAGES):
	@echo "a release carries the built web pages: install node and npm, and run ./configure again" >&2; exit 1
endif
endif
