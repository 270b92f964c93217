# SPDX-License-Identifier: Apache-2.0
if BUILD_SERVER
UNIT_TESTS += %D%/pages_test
%C%_pages_test_SOURCES = %D%/pages_test.c
%C%_pages_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_pages_test_LDADD = ui/libui.a $(UNIT_LIBS) base/libbase.a $(BASE_LIBS)
endif

TESTS += %D%/logic.sh
dist_check_SCRIPTS += %D%/logic.sh
EXTRA_DIST += %D%/logic_test.ts

# Types and browser tests need more of npm than the build does; the first `make check` fetches it.
if UI_NPM
check_DATA = ui/check-tools.stamp
ui/check-tools.stamp: ui/package-lock.json $(UI_PAGES)
	$(AM_V_GEN)test -d $(srcdir)/ui/node_modules/typescript || \
		(cd $(srcdir)/ui && $(NPM) install --include=dev --no-save --loglevel=error >/dev/null) && echo >$@
CLEANFILES += ui/check-tools.stamp
endif
