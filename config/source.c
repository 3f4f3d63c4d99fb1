/* SPDX-License-Identifier: Apache-2.0 */
#include "config/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

void source_init(struct source_texts *texts)
{
	*texts = (struct source_texts){ 0 };
}

void source_done(struct source_texts *texts)
{
	hg_free(texts->list);
	source_init(texts);
}

static int refuse(struct config_report *report, struct span name, int error, const char *what,
		  const char *advice)
{
	config_message_at(report, CONFIG_ERROR, name, "%s%s", what, advice);
	return error;
}

static int refuse_errno(struct config_report *report, struct span name, int error)
{
	/* A failing read may return EINVAL, too, which the caller would report as a wrong configuration. */
	return refuse(report, name, error == EINVAL ? -EIO : -error, "cannot be read: ", strerror(error));
}

static int keep_text(struct source_texts *texts, struct span name, struct span text)
{
	if (texts->count == texts->size) {
		uint32_t size = texts->size ? texts->size * 2 : 8;
		struct source_text *list = hg_realloc(texts->list, size * sizeof(*list));

		if (!list)
			return -ENOMEM;
		texts->list = list;
		texts->size = size;
	}
	texts->list[texts->count++] = (struct source_text){ name, text, false };
	texts->bytes += text.len;
	return 0;
}

static int keep_objects(struct source_texts *texts, struct span name, struct span text)
{
	int r = keep_text(texts, name, text);

	if (r < 0)
		return r;
	texts->bytes -= text.len;
	texts->list[texts->count - 1].is_of_api_server = true;
	return 0;
}

int source_read_all(int fd, struct text *out)
{
	for (;;) {
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n == 0)
			return text_error(out);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (out->len + (size_t)n > LIMIT_CONFIG_BYTES)
			return -EFBIG;
		text_add(out, span_of(chunk, (size_t)n));
	}
}

static int refuse_large(struct config_report *report, struct span name)
{
	return refuse(report, name, -EINVAL, "is larger than 16 MiB; ", "split it into several files");
}

/*
 * Editors and shells truncate a file before they write it: a reload at that moment must not close every
 * port. An empty pipe means that its writer failed.
 */
static int refuse_empty(struct config_report *report, struct span name)
{
	return refuse(report, name, -EINVAL, "is empty; ",
		      "to listen on nothing write \"binds: []\", or leave it out");
}

static int read_fd(struct arena *arena, int fd, struct span name, struct config_report *report,
		   struct source_texts *texts)
{
	bool is_within;
	struct span kept;
	struct text text;
	int r;

	if (texts->count == LIMIT_CONFIG_FILES)
		return refuse(report, name, -EINVAL, "there are too many files; ", "merge some of them");
	text_init(&text);
	r = source_read_all(fd, &text);
	is_within = texts->bytes + text.len <= LIMIT_CONFIG_TOTAL_BYTES;
	kept = r == 0 && is_within ? arena_copy(arena, text_span(&text)) : (struct span){ 0 };
	text_done(&text);
	if (r == -EFBIG)
		return refuse_large(report, name);
	if (r == 0 && !is_within)
		return refuse(report, name, -EINVAL, "does not fit: it and the files before it are larger ",
			      "than 64 MiB together; remove what is not needed");
	if (r == -ENOMEM || (r == 0 && !kept.data))
		return -ENOMEM;
	if (r < 0)
		return refuse_errno(report, name, -r);
	if (kept.len == 0)
		return refuse_empty(report, name);
	return keep_text(texts, name, kept);
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a named pipe";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

/*
 * Only regular files have a size. A pipe or a device might never end, or block the thread that handles
 * signals.
 */
static int check_file(struct config_report *report, struct span name, const struct stat *status)
{
	if (!S_ISREG(status->st_mode)) {
		config_message_at(report, CONFIG_ERROR, name,
				  "is %s, not a regular file; remove it, or put a file in its place",
				  kind_of(status->st_mode));
		return -EINVAL;
	}
	return status->st_size > LIMIT_CONFIG_BYTES ? refuse_large(report, name) : 0;
}

/*
 * Checked before opening, because opening a device may have effects, and after, because the file may have
 * been replaced.
 */
static int read_file(struct arena *arena, const char *path, struct span name, struct config_report *report,
		     struct source_texts *texts)
{
	struct stat status;
	int fd, r;

	if (stat(path, &status) < 0)
		return refuse_errno(report, name, errno);
	r = check_file(report, name, &status);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return refuse_errno(report, name, errno);
	r = fstat(fd, &status) < 0 ? refuse_errno(report, name, errno) : check_file(report, name, &status);
	if (r == 0)
		r = read_fd(arena, fd, name, report, texts);
	close(fd);
	return r;
}

/* -------------------------------------------------------------------------------- directories */

static bool is_config_name(const char *name)
{
	struct span s = span_str(name);

	return s.len && s.data[0] != '.' &&
	       (span_ends(s, SPAN(".yaml")) || span_ends(s, SPAN(".yml")) || span_ends(s, SPAN(".json")));
}

struct name_list {
	char **list; /* owner, as are the names */
	uint32_t count;
	uint32_t size;
};

static int add_name(struct name_list *names, const char *name)
{
	char *copy;

	if (names->count == names->size) {
		uint32_t size = names->size ? names->size * 2 : 16;
		char **list = hg_realloc(names->list, size * sizeof(char *));

		if (!list)
			return -ENOMEM;
		names->list = list;
		names->size = size;
	}
	copy = hg_strndup(name, strlen(name));
	if (!copy)
		return -ENOMEM;
	names->list[names->count++] = copy;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Returns the names of the regular files to read, links followed, in byte order. -errno of the directory. */
static int list_names(const char *path, struct name_list *names)
{
	DIR *directory = opendir(path);
	int r = 0;

	if (!directory)
		return -errno;
	while (r == 0) {
		const struct dirent *entry;
		struct stat status;

		errno = 0;
		entry = readdir(directory);
		if (!entry) {
			r = -errno;
			break;
		}
		if (!is_config_name(entry->d_name))
			continue;
		if (fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 && S_ISDIR(status.st_mode))
			continue;
		r = names->count == LIMIT_CONFIG_FILES ? -EFBIG : add_name(names, entry->d_name);
	}
	closedir(directory);
	if (r == 0 && names->count > 1)
		qsort(names->list, names->count, sizeof(char *), compare_names);
	return r;
}

static int read_names(struct arena *arena, struct span directory, const struct name_list *names,
		      struct config_report *report, struct source_texts *texts)
{
	int result = 0;

	for (uint32_t i = 0; i < names->count; i++) {
		struct text path;
		struct span name;
		int r;

		text_init(&path);
		text_add(&path, directory);
		if (directory.data[directory.len - 1] != '/')
			text_char(&path, '/');
		text_str(&path, names->list[i]);
		name = text_error(&path) == 0 ? arena_copy(arena, text_span(&path)) : (struct span){ 0 };
		text_done(&path);
		if (!name.data)
			return -ENOMEM;
		r = read_file(arena, name.data, name, report, texts);
		if (r == -ENOMEM)
			return r;
		if (result == 0)
			result = r;
	}
	return result;
}

static int read_directory(struct arena *arena, const char *path, struct span name,
			  struct config_report *report, struct source_texts *texts)
{
	struct name_list names = { 0 };
	int r = list_names(path, &names);

	if (r == -EFBIG)
		r = refuse(report, name, -EINVAL, "holds too many files; ", "merge some of them");
	else if (r < 0 && r != -ENOMEM)
		r = refuse_errno(report, name, -r);
	else if (r == 0 && names.count == 0)
		r = refuse(report, name, -EINVAL,
			   "holds no configuration: ", "there is no *.yaml, *.yml or *.json file in it");
	else if (r == 0)
		r = read_names(arena, name, &names, report, texts);
	for (uint32_t i = 0; i < names.count; i++)
		hg_free(names.list[i]);
	hg_free(names.list);
	return r;
}

int source_read(struct arena *arena, const struct config_source *source, struct config_report *report,
		struct source_texts *texts)
{
	struct span name = arena_copy(arena, span_str(source->path));
	struct stat status;

	if (!name.data)
		return -ENOMEM;
	if (source->is_of_api_server)
		return keep_objects(texts, name, source->text);
	if (source->has_text)
		return source->text.len ? keep_text(texts, name, source->text) : refuse_empty(report, name);
	if (span_eq(name, SPAN("-")))
		return read_fd(arena, STDIN_FILENO, SPAN("standard input"), report, texts);
	if (stat(source->path, &status) < 0)
		return refuse_errno(report, name, errno);
	if (S_ISDIR(status.st_mode))
		return read_directory(arena, source->path, name, report, texts);
	return read_file(arena, source->path, name, report, texts);
}
