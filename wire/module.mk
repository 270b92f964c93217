# SPDX-License-Identifier: Apache-2.0
# wire: L1, what travels between agent, server and other programs: encode and decode side by side.
noinst_LIBRARIES += %D%/libwire.a
%C%_libwire_a_SOURCES = \
	%D%/chunk.c %D%/chunk.h \
	%D%/exemplar.c %D%/exemplar.h \
	%D%/histogram.c %D%/histogram.h %D%/histogram_message.c \
	%D%/labels.c %D%/labels.h \
	%D%/protobuf.c %D%/protobuf.h \
	%D%/remote_write.c %D%/remote_write.h \
	%D%/remote_write_v2.c %D%/remote_write_v2.h \
	%D%/remote_read.c %D%/remote_read.h \
	%D%/snappy.c %D%/snappy.h \
	%D%/zstd.c %D%/zstd.h
%C%_libwire_a_CPPFLAGS = $(AM_CPPFLAGS) $(ZSTD_CFLAGS)

# What a program that links libwire.a has to name as well, before BASE_LIBS.
WIRE_LIBS = $(SNAPPY_LIBS) $(ZSTD_LIBS)
