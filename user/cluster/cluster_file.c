/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/cluster_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/mcp/json/json_text.h"

enum { PIECE_BYTES = 64 * 1024 };

static int write_all(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.data, bytes.len);

		if (n < 0 && errno != EINTR)
			return -errno;
		bytes = span_from(bytes, n > 0 ? (size_t)n : 0);
	}
	return 0;
}

/* In pieces, so that the copy is never in memory a second time. */
static int write_objects(const struct store *store, int fd)
{
	struct text piece;
	int error = 0;

	text_init(&piece);
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		list_each(node, next, &store->objects[kind]) {
			text_add(&piece, list_entry(node, struct stored_object, node)->text);
			text_char(&piece, '\n');
			if (piece.len < PIECE_BYTES || error)
				continue;
			error = text_error(&piece) ? -ENOMEM : write_all(fd, text_span(&piece));
			text_clear(&piece);
		}
	}
	if (!error)
		error = text_error(&piece) ? -ENOMEM : write_all(fd, text_span(&piece));
	if (piece.data)
		explicit_bzero(piece.data, piece.size);
	text_done(&piece);
	return error ? error : fsync(fd) < 0 ? -errno : 0;
}

int cluster_file_write(const struct store *store, const char *path)
{
	struct text name;
	int fd = -1, error;

	text_init(&name);
	text_fmt(&name, "%s.new", path);
	error = text_error(&name);
	if (!error) {
		unlink(name.data);
		fd = open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		error = fd < 0 ? -errno : write_objects(store, fd);
	}
	if (fd >= 0)
		close(fd);
	if (!error && rename(name.data, path) < 0)
		error = -errno;
	if (error && name.data)
		unlink(name.data);
	text_done(&name);
	return error;
}

static void add_line(struct store *store, struct span line)
{
	struct span name;

	if (!store_can_read(store, line))
		return;
	name = mcp_json_string(mcp_json_member(line, SPAN("kind")));
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		if (span_eq(name, span_str(kind_list[kind].name)))
			store_put(store, (enum kind_id)kind, SPAN(""), line, 0);
}

int cluster_file_read(struct store *store, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int error;

	if (!file)
		return -errno;
	while ((len = getline(&line, &size, file)) > 0)
		add_line(store, span_of(line, (size_t)len));
	error = ferror(file) ? -EIO : 0;
	if (line)
		explicit_bzero(line, size);
	free(line);
	fclose(file);
	return error;
}
