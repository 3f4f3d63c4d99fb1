/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/compile/effective.h"
#include "tests/lib/alloc.h"
#include "user/base/limits.h"

/* How many words were compared with those that exist: the program's own function, counted. */
static unsigned int words_compared;

#define typo_meant typo_uncounted
#include "config/core/engine/typo.c"
#undef typo_meant
const char *typo_meant(struct span word, const char *const *names, size_t name_count);

const char *typo_meant(struct span word, const char *const *names, size_t name_count)
{
	words_compared++;
	return typo_uncounted(word, names, name_count);
}

#define EXAMPLES "config/examples/"
#define MANIFESTS "tests/data/manifests/"

static char directory[] = "/tmp/headgate-test-snapshot-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[4][200];
	static unsigned next;
	char *out = path[next++ % 4];

	snprintf(out, sizeof(path[0]), "%s/%s", directory, name);
	return out;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void load_paths(struct config_case *c, const char *first, const char *second)
{
	const struct config_source list[] = { { .path = first }, { .path = second } };

	config_case_sources(c, list, second ? 2 : 1);
}

#define BIND(port) "binds: [{port: " port ", listeners: [{routes: [{backends: [{host: 'a:1'}]}]}]}]\n"
#define NAMESPACE(name) "{apiVersion: v1, kind: Namespace, metadata: {name: " name "}}\n"

/* -------------------------------------------------------------------------------- sources */

TEST(directories_contribute_their_files_in_order)
{
	struct config_case c;

	assert_int_equal(mkdir(path_of("d"), 0755), 0);
	assert_int_equal(mkdir(path_of("d/sub.yaml"), 0755), 0);
	assert_int_equal(mkdir(path_of("d/..2026"), 0755), 0);
	write_file("d/..2026/route.yaml", NAMESPACE("from-link") NAMESPACE("x") "wrong: ]");
	write_file("d/b.yml", NAMESPACE("b"));
	write_file("d/c.json",
		   "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"c\"}}");
	write_file("d/a.yaml", "config: {via: true}\n");
	write_file("d/.hidden.yaml", "wrong: ]");
	write_file("d/notes.txt", "wrong: ]");
	write_file("d/sub.yaml/deep.yaml", "wrong: ]");
	load_paths(&c, path_of("d"), NULL);
	config_case_accepted(&c);
	assert_true(c.snapshot->config.via);
	config_case_done(&c);

	/* As a mounted ConfigMap looks: names are links into ..data, which is a link to a directory. */
	assert_int_equal(symlink("..2026", path_of("d/..data")), 0);
	assert_int_equal(symlink("..data/route.yaml", path_of("d/route.yaml")), 0);
	load_paths(&c, path_of("d"), NULL);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, path_of("d/route.yaml:2:1: "), "begin it with a line \"---\"");
	config_case_done(&c);
	assert_int_equal(unlink(path_of("d/route.yaml")), 0);

	write_file("d/0.yaml", "wrong: ]");
	write_file("d/z.yaml", "wrong: ]");
	load_paths(&c, path_of("d/"), NULL);
	assert_int_equal(c.report.count[CONFIG_ERROR], 2);
	assert_true(span_starts(c.report.message_list[0].text, span_str(path_of("d/0.yaml:"))));
	assert_true(span_starts(c.report.message_list[1].text, span_str(path_of("d/z.yaml:"))));
	config_case_done(&c);
}

TEST(what_cannot_be_read_is_told_apart_from_what_is_wrong)
{
	struct config_case c;

	load_paths(&c, path_of("nothing.yaml"), NULL);
	assert_int_equal(c.result, -ENOENT);
	config_case_says(&c, CONFIG_ERROR, path_of("nothing.yaml: "),
			 "cannot be read: No such file or directory");
	config_case_done(&c);

	write_file("good.yaml", BIND("80"));
	write_file("bad.yaml", "bind: 1\n");
	load_paths(&c, path_of("bad.yaml"), path_of("good.yaml/x"));
	assert_int_equal(c.result, -ENOTDIR);
	assert_int_equal(c.report.count[CONFIG_ERROR], 1);
	config_case_done(&c);

	load_paths(&c, path_of("bad.yaml"), NULL);
	assert_int_equal(c.result, -EINVAL);
	config_case_done(&c);

	assert_int_equal(mkdir(path_of("empty"), 0755), 0);
	load_paths(&c, path_of("empty"), NULL);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, path_of("empty: "),
			 "there is no *.yaml, *.yml or *.json file in it");
	config_case_done(&c);

	/* What an editor leaves for a moment must not count as a configuration without ports. */
	write_file("zero.yaml", "");
	load_paths(&c, path_of("zero.yaml"), NULL);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, path_of("zero.yaml: "), "is empty");
	config_case_done(&c);

	if (geteuid() != 0) {
		assert_int_equal(chmod(path_of("good.yaml"), 0), 0);
		load_paths(&c, path_of("good.yaml"), NULL);
		assert_int_equal(c.result, -EACCES);
		config_case_done(&c);
		assert_int_equal(chmod(path_of("good.yaml"), 0644), 0);
	}
}

TEST(a_dash_reads_standard_input)
{
	int kept = dup(STDIN_FILENO), pipe_fds[2];
	struct config_case c;

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], BIND("80") "x: 1\n", sizeof(BIND("80") "x: 1\n") - 1),
			 sizeof(BIND("80") "x: 1\n") - 1);
	close(pipe_fds[1]);
	dup2(pipe_fds[0], STDIN_FILENO);
	close(pipe_fds[0]);
	load_paths(&c, "-", NULL);
	dup2(kept, STDIN_FILENO);
	close(kept);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, "standard input:2:1: x: ", "unknown key");
	config_case_done(&c);
}

TEST(two_standalone_files_do_not_mix)
{
	struct config_case c;

	write_file("one.yaml", BIND("80"));
	write_file("two.yaml", "\nconfig: {}\n");
	load_paths(&c, path_of("one.yaml"), path_of("two.yaml"));
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, path_of("two.yaml:2:1: "), "merge the two into one file");
	config_case_done(&c);
}

TEST(variables_of_the_environment_are_expanded)
{
	struct config_case c;

	setenv("HEADGATE_TEST_PORT", "8123", 1);
	config_case_text(&c, BIND("${HEADGATE_TEST_PORT}"));
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->bind_list[0].port, 8123);
	config_case_done(&c);
	unsetenv("HEADGATE_TEST_PORT");
	config_case_text(&c, BIND("${HEADGATE_TEST_PORT}"));
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:1:16: ", "HEADGATE_TEST_PORT is not set");
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- life */

static unsigned long trace;

static void note(void *object)
{
	trace = trace * 10 + *(const unsigned *)object;
}

TEST(the_last_reference_frees_and_destructors_run_backwards)
{
	static unsigned one = 1, two = 2, three = 3;
	struct snapshot *snapshot = snapshot_create();

	trace = 0;
	assert_non_null(snapshot);
	assert_int_equal(snapshot_add_destructor(snapshot, note, &one), 0);
	assert_int_equal(snapshot_add_destructor(snapshot, note, &two), 0);
	assert_int_equal(snapshot_add_destructor(snapshot, note, &three), 0);
	assert_ptr_equal(snapshot_ref(snapshot), snapshot);
	snapshot_unref(snapshot);
	assert_int_equal(trace, 0);
	snapshot_unref(snapshot);
	assert_int_equal(trace, 321);
	snapshot_unref(NULL);
}

/* -------------------------------------------------------------------------------- all examples */

struct example {
	const char *first;
	const char *second;
};

static const struct example examples[] = {
	{ EXAMPLES "quickstart.yaml", NULL },
	{ EXAMPLES "gateways.yaml", NULL },
	{ EXAMPLES "services.yaml", NULL },
	{ EXAMPLES "weighted.yaml", NULL },
	{ EXAMPLES "websocket.yaml", NULL },
	{ EXAMPLES "tcp.yaml", NULL },
	{ EXAMPLES "timeouts-retries.yaml", NULL },
	{ EXAMPLES "grpc.yaml", NULL },
	{ EXAMPLES "mcp.yaml", NULL },
	{ EXAMPLES "tools.yaml", NULL },
	{ EXAMPLES "kubernetes", NULL },
	{ EXAMPLES "tls.yaml", NULL },
	{ EXAMPLES "mtls.yaml", NULL },
	{ MANIFESTS "standalone-backend-timeouts.yaml", NULL },
	{ MANIFESTS "standalone-mcp-timeout.yaml", NULL },
	{ MANIFESTS "gateway.yaml", MANIFESTS "idle-timeout.yaml" },
	{ MANIFESTS "gateway.yaml", MANIFESTS "tcp-keepalive.yaml" },
	{ MANIFESTS "gateway.yaml", MANIFESTS "http2-keepalive.yaml" },
	{ MANIFESTS "gateway.yaml", MANIFESTS "per-try-timeout.yaml" },
};

TEST(every_example_loads_and_seals)
{
	/* Those about TLS need what it makes. */
	assert_int_equal(system("scripts/make-certificates.sh >/dev/null"), 0);
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		bool is_foreign = examples[i].second && strstr(examples[i].second, "keepalive");
		struct config_case c;

		load_paths(&c, examples[i].first, examples[i].second);
		config_case_accepted(&c);
		if (policy_compile(c.snapshot, &c.report) != 0)
			fail_msg("%s does not compile", examples[i].first);
		/* Only the page whose policy lives in another namespace than the Gateway has something to
		 * warn about. */
		assert_int_equal(c.report.count[CONFIG_WARNING], is_foreign);
		for (uint32_t p = 0; p < c.snapshot->policy_count; p++)
			assert_true(c.snapshot->policy_list[p].is_attached);
		config_case_done(&c);
	}
}

/* A file in the examples that no test loads would rot. */
TEST(no_example_is_forgotten)
{
	DIR *folder = opendir(EXAMPLES);
	const struct dirent *entry;
	unsigned count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)))
		count += strstr(entry->d_name, ".yaml") != NULL;
	closedir(folder);
	assert_int_equal(count, 12);
}

TEST(the_mcp_page_is_accepted_as_it_is)
{
	struct config_case c;

	load_paths(&c, MANIFESTS "standalone-mcp-timeout.yaml", NULL);
	config_case_accepted(&c);
	assert_int_equal(c.report.count[CONFIG_WARNING], 0);
	assert_int_equal(c.snapshot->backend_list[0].kind, BACKEND_MCP);
	config_case_done(&c);
}

static int load_example(void *context)
{
	const struct example *example = context;
	const struct config_source list[] = { { .path = example->first }, { .path = example->second } };
	struct config_report report;
	struct snapshot *snapshot = NULL;
	int r;

	config_report_init(&report);
	r = config_load(list, example->second ? 2 : 1, NULL, &report, &snapshot);
	snapshot_unref(snapshot);
	config_report_done(&report);
	return r;
}

TEST(each_allocation_of_a_load_may_fail)
{
	for (size_t i = 0; i < ARRAY_LEN(examples); i++)
		assert_true(alloc_fail_each(load_example, (void *)&examples[i]) > 10);
}

static int load_wrong(void *context)
{
	const struct config_source source = { .path = "a.yaml", .has_text = true, .text = span_str(context) };
	struct config_report report;
	struct snapshot *snapshot = NULL;
	int r;

	config_report_init(&report);
	r = config_load(&source, 1, NULL, &report, &snapshot);
	assert_int_equal(r == 0, snapshot != NULL);
	snapshot_unref(snapshot);
	/* Without memory for the messages a wrong file still may not pass as a good one. */
	if (r == -EINVAL || r == 0)
		r = config_report_has_errors(&report) && !report.failed ? 0 : -EFAULT;
	config_report_done(&report);
	return r;
}

TEST(each_allocation_of_a_refusal_may_fail)
{
	static char texts[][200] = {
		"config: {via: 1, foo: $HOME}\nbinds: [{port: 0, listeners: [{routes: [{backends: [{host: "
		"a}]}]}]}]\n",
		"a: [b\n",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: "
		"{rules: [{a: b}]}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		alloc_fail_each(load_wrong, texts[i]);
}

/* -------------------------------------------------------------------------------- broken files */

static struct span read_text(const char *path, char *buffer, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t len;

	assert_non_null(file);
	len = fread(buffer, 1, size, file);
	fclose(file);
	assert_true(len > 0 && len < size);
	return span_of(buffer, len);
}

static void load_bytes(struct span text)
{
	const struct config_source source = { .path = "a.yaml", .has_text = true, .text = text };
	struct config_report report;
	struct snapshot *snapshot = NULL;
	int r;

	config_report_init(&report);
	r = config_load(&source, 1, NULL, &report, &snapshot);
	assert_true(r == 0 || r == -EINVAL);
	assert_int_equal(r == 0, snapshot != NULL);
	assert_int_equal(r == 0, !config_report_refuses(&report));
	if (snapshot)
		(void)policy_compile(snapshot, &report);
	snapshot_unref(snapshot);
	config_report_done(&report);
}

static const char *const single_files[] = {
	EXAMPLES "gateways.yaml",
	EXAMPLES "weighted.yaml",
	EXAMPLES "websocket.yaml",
	EXAMPLES "tcp.yaml",
	EXAMPLES "timeouts-retries.yaml",
	EXAMPLES "mcp.yaml",
	EXAMPLES "tools.yaml",
	EXAMPLES "kubernetes/shop.yaml",
	EXAMPLES "kubernetes/gateway.yaml",
	EXAMPLES "kubernetes/policies.yaml",
	MANIFESTS "gateway.yaml",
	MANIFESTS "per-try-timeout.yaml",
};

TEST(every_prefix_of_an_example_is_loaded_or_refused)
{
	static char buffer[16384];

	for (size_t i = 0; i < ARRAY_LEN(single_files); i++) {
		struct span text = read_text(single_files[i], buffer, sizeof(buffer));

		for (size_t len = 0; len < text.len; len += len % 3 + 1)
			load_bytes(span_first(text, len));
	}
}

TEST(examples_with_lines_removed_swapped_or_changed_are_loaded_or_refused)
{
	static char buffer[16384], changed[16384];
	uint64_t seed = 20260131;

	for (size_t i = 0; i < ARRAY_LEN(single_files); i++) {
		struct span text = read_text(single_files[i], buffer, sizeof(buffer));

		for (int round = 0; round < 300; round++) {
			size_t from, len, to;

			memcpy(changed, text.data, text.len);
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			from = (seed >> 33) % text.len;
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			len = (seed >> 33) % 40;
			to = (seed >> 20) % text.len;
			if (from + len > text.len || to + len > text.len)
				continue;
			if (round % 2)
				memmove(changed + to, changed + from, len);
			else
				memset(changed + from, " -:{}[]\n"[(seed >> 15) % 8], len % 4);
			load_bytes(span_of(changed, text.len));
		}
	}
}

/* -------------------------------------------------------------------------------- size */

/* Every key costs a comparison with all known ones while it can still become a message, and nothing after
 * that. */
TEST(a_flood_of_wrong_keys_is_counted_and_compared_no_longer_than_it_is_told)
{
	struct config_source source;
	struct config_case c;
	struct text text;

	text_init(&text);
	for (int i = 0; i < 20000; i++)
		text_fmt(&text, "frontendPoliciesOfTheGatewayWithNumber%d: 1\n", i);
	source = (struct config_source){ .path = "a.yaml", .has_text = true, .text = text_span(&text) };
	words_compared = 0;
	config_case_sources(&c, &source, 1);
	assert_int_equal(words_compared, LIMIT_CONFIG_ERRORS);
	assert_int_equal(c.result, -EINVAL);
	assert_int_equal(c.report.count[CONFIG_ERROR], 20000);
	assert_int_equal(c.report.message_count, LIMIT_CONFIG_ERRORS);
	config_case_says(&c, CONFIG_ERROR, "and 19900 more", "");
	config_case_done(&c);
	text_done(&text);
}

TEST(selectors_have_a_bound)
{
	struct config_source source;
	struct config_case c;
	struct text text;

	text_init(&text);
	text_str(&text, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: "
			"{listeners: [{name: a, "
			"port: 1, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: "
			"{matchLabels: {");
	for (int i = 0; i <= LIMIT_CONFIG_LABELS; i++)
		text_fmt(&text, "l%d: v, ", i);
	text_str(&text, "}}}}}]}\n");
	source = (struct config_source){ .path = "a.yaml", .has_text = true, .text = text_span(&text) };
	config_case_sources(&c, &source, 1);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.snapshot->bind_count, 0);
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:4:", "selector.matchLabels: has 257 entries; 256 are the most");
	config_case_done(&c);
	text_done(&text);
}

TEST(a_thousand_routes_load_with_their_services)
{
	struct config_source source;
	struct config_case c;
	struct text text;

	text_init(&text);
	text_str(&text, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: g\n  "
			"namespace: infra\nspec:\n"
			"  listeners:\n  - name: http\n    port: 80\n    protocol: HTTP\n    "
			"allowedRoutes:\n      namespaces:\n"
			"        from: All\n");
	for (int i = 0; i < 1000; i++)
		text_fmt(&text,
			 "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: "
			 "r%d\n  namespace: app\nspec:\n"
			 "  hostnames:\n  - host%d.example.com\n  parentRefs:\n  - name: g\n    namespace: "
			 "infra\n  rules:\n  - matches:\n"
			 "    - path:\n        type: PathPrefix\n        value: /api\n    timeouts:\n      "
			 "request: 10s\n    backendRefs:\n"
			 "    - name: svc%d\n      port: 80\n",
			 i, i, i % 100);
	for (int i = 0; i < 100; i++)
		text_fmt(&text,
			 "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: svc%d\n  namespace: "
			 "app\nspec:\n  ports:\n  - port: 80\n",
			 i);
	assert_int_equal(text_error(&text), 0);
	source = (struct config_source){ .path = "a.yaml", .has_text = true, .text = text_span(&text) };
	config_case_sources(&c, &source, 1);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->bind_list[0].listener_list[0].route_count, 1000);
	config_case_done(&c);
	text_done(&text);
}

/* -------------------------------------------------------------------------------- */

static int start(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int stop(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

TEST_GROUP(start, stop);
