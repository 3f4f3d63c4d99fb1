/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target once over its corpus, without libFuzzer: any compiler builds this.
 *
 *	corpus/fuzz_<name> DIRECTORY_OR_FILE...
 *
 * The target gets every file, whole and cut at a few places. The last line of the output is the number of
 * inputs. When the target aborts or a sanitizer ends it, the program says which input that was.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Some targets have one. Mutators of their own play no part: nothing is mutated. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);
/* Of the sanitizer that this is built with. */
__attribute__((weak)) void __sanitizer_set_crash_callback(void (*callback)(void));

/* What is said when the input that runs ends the program. */
static char current_input[PATH_BYTES + 64];
static size_t input_count;

static void give_up(const char *path, const char *what)
{
	fprintf(stderr, "%s: %s\n", path, what);
	exit(EXIT_FAILURE);
}

static void current_tell(void)
{
	(void)!write(STDERR_FILENO, current_input, strlen(current_input));
}

static void on_abort(int number)
{
	current_tell();
	signal(number, SIG_DFL);
	raise(number);
}

/* In memory of its own and of exactly this size: a sanitizer sees what is read behind it. */
static void input_run(const char *path, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size);

	if (size && !copy)
		give_up(path, "no memory");
	if (size)
		memcpy(copy, data, size);
	snprintf(current_input, sizeof(current_input), "the input was: head -c %zu %s\n", size, path);
	(void)LLVMFuzzerTestOneInput(copy, size);
	current_input[0] = '\0';
	free(copy);
	input_count++;
}

/* Whole, without its last byte, after three quarters, a half and a quarter of it, and nothing of it. */
static void input_run_cut(const char *path, const uint8_t *data, size_t size)
{
	const size_t sizes[] = { size, size ? size - 1 : 0, size * 3 / 4, size / 2, size / 4, 0 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (i == 0 || sizes[i] < sizes[i - 1])
			input_run(path, data, sizes[i]);
	}
}

static void file_run(const char *path)
{
	FILE *file = fopen(path, "re");
	struct stat status;
	uint8_t *data;
	size_t size;

	if (!file || fstat(fileno(file), &status) < 0)
		give_up(path, strerror(errno));
	size = (size_t)status.st_size;
	data = malloc(size + 1);
	if (!data || fread(data, 1, size + 1, file) != size || ferror(file))
		give_up(path, "it cannot be read whole");
	fclose(file);
	input_run_cut(path, data, size);
	free(data);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void directory_run(const char *path)
{
	struct dirent **list;
	int count = scandir(path, &list, is_visible, alphasort);

	if (count < 0)
		give_up(path, strerror(errno));
	if (count == 0)
		give_up(path, "it has no input");
	for (int i = 0; i < count; i++) {
		char name[PATH_BYTES];

		if (snprintf(name, sizeof(name), "%s/%s", path, list[i]->d_name) >= (int)sizeof(name))
			give_up(path, "its name is too long");
		file_run(name);
		free(list[i]);
	}
	free(list);
}

int main(int argc, char **argv)
{
	struct stat status;

	if (argc < 2)
		give_up(argv[0], "name directories or files of inputs");
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_crash_callback)
		__sanitizer_set_crash_callback(current_tell);
	if (LLVMFuzzerInitialize && LLVMFuzzerInitialize(&argc, &argv) != 0)
		give_up(argv[0], "the target cannot start");
	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &status) < 0)
			give_up(argv[i], strerror(errno));
		if (S_ISDIR(status.st_mode))
			directory_run(argv[i]);
		else
			file_run(argv[i]);
	}
	printf("%zu inputs\n", input_count);
	return EXIT_SUCCESS;
}
