/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/load.h"

/* The texts of the -f arguments. */
struct source_text {
	struct span name; /* for messages */
	struct span text;
	bool is_of_api_server;
};

struct source_texts {
	struct source_text *list; /* owner, heap; the spans are in the arena given to source_read */
	uint32_t count;
	uint32_t size;
	uint64_t bytes; /* of all texts but those of an API server */
};

void source_init(struct source_texts *texts);
void source_done(struct source_texts *texts);

/*
 * Adds the texts of a source: one file, the *.yaml, *.yml and *.json of a directory in byte order of their
 * names, or standard input for "-". Skips hidden names, such as the ..data links of a mounted ConfigMap;
 * follows links. Reads only regular files, and never waits for one. 0, -ENOMEM, -EINVAL (too large, not a
 * regular file, or a directory without such files), or the errno of a failed read; the report has all
 * failures except -ENOMEM.
 */
int source_read(struct arena *arena, const struct config_source *source, struct config_report *report,
		struct source_texts *texts);
/* Reads the rest of a file or stream, at most LIMIT_CONFIG_BYTES: 0, -EFBIG, -ENOMEM or -errno of read(). */
int source_read_all(int fd, struct text *out);
