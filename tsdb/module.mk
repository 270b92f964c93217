# SPDX-License-Identifier: Apache-2.0
# tsdb: L2, receiver -> ingest -> committer -> log -> head -> keeper -> block -> partition -> selection.
if BUILD_SERVER
noinst_LIBRARIES += %D%/libtsdb.a
endif
%C%_libtsdb_a_SOURCES = \
	%D%/admin.c %D%/admin.h \
	%D%/blobs.c %D%/blobs.h \
	%D%/block.c %D%/block.h \
	%D%/buckets.c %D%/buckets.h \
	%D%/cardinality.c %D%/cardinality.h \
	%D%/catalog.c %D%/catalog.h \
	%D%/codec.c %D%/codec.h %D%/codec_int.h \
	%D%/codec_encoder.c \
	%D%/committer.c \
	%D%/cursor.c \
	%D%/db.c %D%/db.h %D%/db_int.h \
	%D%/deletion.c \
	%D%/eraser.c %D%/eraser.h \
	%D%/exemplar_ring.c %D%/exemplar_ring.h \
	%D%/exemplar_store.c %D%/exemplar_store.h \
	%D%/exemplars.c \
	%D%/extras.c %D%/extras.h \
	%D%/fingerprints.c %D%/fingerprints.h \
	%D%/flusher.c %D%/flusher.h \
	%D%/group.c \
	%D%/head.c %D%/head.h \
	%D%/pack.c %D%/pack.h \
	%D%/head_chunk.c %D%/head_chunk.h \
	%D%/head_columns.c %D%/head_columns.h \
	%D%/head_memory.c %D%/head_memory.h \
	%D%/head_tail.c %D%/head_tail.h \
	%D%/head_times.c %D%/head_times.h \
	%D%/histogram.c %D%/histogram.h \
	%D%/histogram_chunk.c %D%/histogram_chunk.h \
	%D%/histogram_head.c %D%/histogram_head.h \
	%D%/index.c %D%/index.h %D%/index_int.h \
	%D%/index_match.c \
	%D%/ingest.c \
	%D%/keeper.c \
	%D%/label_order.c %D%/label_order.h \
	%D%/text_order.c %D%/text_order.h \
	%D%/lmdb.c %D%/lmdb.h %D%/lmdb_int.h \
	%D%/lmdb_cursor.c \
	%D%/lmdb_file.c \
	%D%/lmdb_frame.c \
	%D%/lmdb_guard.c \
	%D%/lmdb_txn.c \
	%D%/log.c %D%/log.h \
	%D%/names.c \
	%D%/pace.c %D%/pace.h \
	%D%/pages.c %D%/pages.h \
	%D%/partition.c %D%/partition.h %D%/partition_int.h \
	%D%/partition_cache.c %D%/partition_cache.h \
	%D%/partition_index.c \
	%D%/partition_map.c %D%/partition_map.h \
	%D%/partition_page.c %D%/partition_page.h \
	%D%/partition_reader.c \
	%D%/partition_runs.c \
	%D%/partition_writer.c \
	%D%/points.c %D%/points.h \
	%D%/receiver.c %D%/receiver.h \
	%D%/record.c %D%/record.h \
	%D%/renewal.c \
	%D%/rewriter.c %D%/rewriter.h \
	%D%/room.c \
	%D%/rows.c %D%/rows.h \
	%D%/run.c %D%/run.h \
	%D%/selection.c %D%/selection_int.h \
	%D%/settings.c \
	%D%/snapshot.c %D%/snapshot.h \
	%D%/restore.c \
	%D%/sources.c %D%/sources.h \
	%D%/state.c %D%/state.h \
	%D%/storage.c %D%/storage.h \
	%D%/survey.c %D%/survey.h \
	%D%/tombstones.c %D%/tombstones.h \
	%D%/unpack.c %D%/unpack.h
%C%_libtsdb_a_SOURCES += \
	%D%/salvage.c \
	%D%/verify.c %D%/verify.h %D%/verify_int.h \
	%D%/verify_live.c %D%/verify_live.h \
	%D%/verify_partition.c \
	%D%/verify_report.c \
	%D%/verify_segment.c
%C%_libtsdb_a_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)

# What a program that links libtsdb.a has to name as well, before wire's and base's libraries.
TSDB_LIBS = $(LMDB_LIBS)
