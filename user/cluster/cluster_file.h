/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/cluster/store.h"

/* A copy of the store on disk, one object a line, readable only by its owner: there are Secrets in it. */

/* Writes a new file and puts it in the place of the old one. 0 or -errno. */
int cluster_file_write(const struct store *store, const char *path);
/* Adds the objects of the file; skips lines that it cannot read. 0 or -errno; -ENOENT: there is no file. */
int cluster_file_read(struct store *store, const char *path);
