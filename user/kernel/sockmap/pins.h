/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/kernel/sockmap/load.h"

/*
 * Programs and maps kept in a directory of a BPF file system, so that an unprivileged gateway finds them and
 * a restarted one continues with the same slots. The directory must be used by headgate only: files in it are
 * replaced and removed by name.
 */

/*
 * Pins everything of `gate` in dir, which is created if its parent is in a BPF file system. Existing pins of
 * ours (an older program, a crashed load) are replaced. Files get this owner and group ((uid_t)-1: unchanged)
 * and mode 0660, the directory 0750. Returns 0 or -errno with `why`.
 */
int sockmap_pin(struct sockmap *sockmap, const char *dir, uid_t owner, gid_t group, struct text *why);

/* Removes our pins and then the directory. Returns the number of pins removed, or -errno with `why`. */
int sockmap_unpin(const char *dir, struct text *why);

/* Opens the pinned program; the caller owns the descriptor. Returns 0 or -errno with `why`. */
int sockmap_open_program(const char *dir, int *ret_fd, struct text *why);

/* Opens what sockmap_pin() left; needs read and write access to the files and no capability (since 5.19). */
int sockmap_open_pins(const char *dir, const struct sockmap_options *options, struct sockmap **ret_sockmap,
		      struct text *why);
