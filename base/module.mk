# SPDX-License-Identifier: Apache-2.0
# base: L0, what every other folder stands on.
noinst_LIBRARIES += %D%/libbase.a
%C%_libbase_a_SOURCES = \
	%D%/arena.c %D%/arena.h \
	%D%/assert.c %D%/assert.h \
	%D%/buf.c %D%/buf.h \
	%D%/clock.c %D%/clock.h \
	%D%/command.c %D%/command.h \
	%D%/context.c %D%/context.h \
	%D%/crc32c.c %D%/crc32c.h \
	%D%/crypto.c %D%/crypto.h \
	%D%/duration.c %D%/duration.h \
	%D%/err.c %D%/err.h \
	%D%/file.c %D%/file.h \
	%D%/hash.c %D%/hash.h \
	%D%/http.c %D%/http.h \
	%D%/http_client.c %D%/http_client.h \
	%D%/json.c %D%/json.h \
	%D%/lock.c %D%/lock.h \
	%D%/log.c %D%/log.h \
	%D%/metrics.c %D%/metrics.h \
	%D%/number.cc %D%/number.h \
	%D%/regex.cc %D%/regex.h \
	%D%/str.c %D%/str.h \
	%D%/thread.c %D%/thread.h \
	%D%/utf8.c %D%/utf8.h \
	%D%/vector.h \
	%D%/workers.c %D%/workers.h \
	%D%/yaml.c %D%/yaml.h
%C%_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(YAML_CFLAGS) $(CURL_CFLAGS) \
	$(XXHASH_CFLAGS) $(RE2_CFLAGS) $(GNUTLS_CFLAGS)

# What a program that links libbase.a has to name as well. libcurl is loaded when it is called.
BASE_LIBS = $(JANSSON_LIBS) $(YAML_LIBS) $(XXHASH_LIBS) $(RE2_LIBS) $(GNUTLS_LIBS) -lstdc++
