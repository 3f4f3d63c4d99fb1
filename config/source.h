/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/load.h"

/* The texts behind the -f arguments. */
struct source_text {
	struct span name; /* as shown in messages */
	struct span text;
};

struct source_texts {
	struct source_text *list; /* owner, heap; the spans live in the arena given to source_read */
	uint32_t count;
	uint32_t size;
	uint64_t bytes; /* of all of them */
};

void source_init(struct source_texts *texts);
void source_done(struct source_texts *texts);

/*
 * Adds what a source holds: one file, the *.yaml, *.yml and *.json of a directory in byte order of their
 * names, or standard input for "-". Hidden names are skipped, which leaves out the ..data links of a mounted
 * ConfigMap; links are followed. Only regular files are read, and never waited for. 0, -ENOMEM, -EINVAL (too
 * large, no regular file, or a directory without such files), or the errno of what could not be read;
 * everything but -ENOMEM is also in the report.
 */
int source_read(struct arena *arena, const struct config_source *source, struct config_report *report,
		struct source_texts *texts);
/* The rest of a file or stream, at most LIMIT_CONFIG_BYTES of it: 0, -EFBIG, -ENOMEM or -errno of reading. */
int source_read_all(int fd, struct text *out);
