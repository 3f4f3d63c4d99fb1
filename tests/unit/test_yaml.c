/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "config/core/engine/errors.h"
#include "config/core/engine/yaml.h"
#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"

TEST_GUARD(guard, 256 * 1024);

struct loaded {
	struct arena arena;
	struct config_report report;
	struct yaml_documents documents;
	int result;
	struct text errors;
};

/* The text lies against a forbidden page and is gone afterwards: nothing may point into it. */
static void load_bytes(struct loaded *l, const char *text, size_t len)
{
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_source source = { .file = SPAN("t.yaml") };

	*l = (struct loaded){ 0 };
	arena_init(&l->arena, 4096);
	config_report_init(&l->report);
	text_init(&l->errors);
	source.text = span_of(guard_end(&guard, text, len), len);
	l->result = yaml_load(&l->arena, &source, &budget, &l->report, &l->documents);
	guard_end(&guard, "", 0);
	config_report_print(&l->report, CONFIG_ERROR, "", &l->errors);
}

static void load(struct loaded *l, const char *text)
{
	load_bytes(l, text, strlen(text));
}

static void unload(struct loaded *l)
{
	text_done(&l->errors);
	config_report_done(&l->report);
	arena_done(&l->arena);
}

/* {a:[1,"x",~]}: quoted scalars in quotes, null as ~. */
static void describe(const struct yaml_node *node, struct text *out)
{
	switch (node->kind) {
	case YAML_MAP:
	case YAML_LIST:
		text_char(out, node->kind == YAML_MAP ? '{' : '[');
		yaml_each(child, node) {
			if (child->index)
				text_char(out, ',');
			if (node->kind == YAML_MAP) {
				text_escaped(out, child->key);
				text_char(out, ':');
			}
			describe(child, out);
		}
		text_char(out, node->kind == YAML_MAP ? '}' : ']');
		return;
	case YAML_SCALAR:
		if (yaml_is_null(node)) {
			text_char(out, '~');
			return;
		}
		if (node->is_quoted)
			text_char(out, '"');
		text_escaped(out, node->text);
		if (node->is_quoted)
			text_char(out, '"');
		return;
	}
}

TEST(texts_become_trees)
{
	static const struct {
		const char *text;
		const char *tree; /* documents joined by " | " */
	} rows[] = {
		{ "a: 1\n", "{a:1}" },
		{ "a: 1", "{a:1}" },
		{ "a: '1'\nb: \"x\"\nc: y\n", "{a:\"1\",b:\"x\",c:y}" },
		{ "- a\n- b: c\n  d: e\n- [f, {g: h}]\n", "[a,{b:c,d:e},[f,{g:h}]]" },
		{ "{\"a\": [1, 2, {\"b\": null}], \"c\": true}", "{a:[1,2,{b:~}],c:true}" },
		{ "a:\nb: ~\nc: null\nd: ''\n", "{a:~,b:~,c:~,d:\"\"}" },
		{ "a: 1\n---\nb: 2\n...\n---\n---\n# nothing\n---\nc: 3\n", "{a:1} | {b:2} | {c:3}" },
		{ "", "" },
		{ "# only a comment\n", "" },
		{ "\xef\xbb\xbf"
		  "a: 1\n",
		  "{a:1}" },
		{ "a: &x [1, 2]\nb: *x\nc: *x\n", "{a:[1,2],b:[1,2],c:[1,2]}" },
		{ "a: &x 1\nb: &x 2\nc: *x\n", "{a:1,b:2,c:2}" },
		{ "a: |\n  two\n  lines\n", "{a:\"two\\x0alines\\x0a\"}" },
		{ "a: !!str 5\nb: !!int 5\nc: ! x\n", "{a:\"5\",b:5,c:\"x\"}" },
		{ "a: 1s # a comment\n", "{a:1s}" },
		{ "a: {}\nb: []\n", "{a:{},b:[]}" },
		{ "? a\n: b\n", "{a:b}" },
		{ "gr\xc3\xbc\xc3\x9f: 1\n", "{gr\\xc3\\xbc\\xc3\\x9f:1}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loaded l;
		struct text tree;

		load(&l, rows[i].text);
		if (l.result != 0 || l.errors.len)
			fail_msg("%s: %d %.*s", rows[i].text, l.result, SPAN_FMT(text_span(&l.errors)));
		text_init(&tree);
		for (uint32_t k = 0; k < l.documents.count; k++) {
			if (k)
				text_str(&tree, " | ");
			describe(l.documents.list[k]->root, &tree);
		}
		assert_string_equal(tree.len ? tree.data : "", rows[i].tree);
		text_done(&tree);
		unload(&l);
	}
}

TEST(wrong_texts_are_refused_with_place_and_advice)
{
	static const struct {
		const char *text;
		size_t len; /* 0: strlen */
		const char *place;
		const char *words;
	} rows[] = {
		{ "a: b: c\n", 0, "t.yaml:1:5: ", "mapping values are not allowed" },
		{ "a:\n\t- b\n", 0, "t.yaml:2:1: ", "spaces, not tabs" },
		{ "a: @b\n", 0, "t.yaml:1:4: ", "put the value in quotes" },
		{ "a: [1, 2\nb: 3\n", 0, "t.yaml:2:", "line 1" },
		{ "a: \"x\n", 0, "t.yaml:2:1: ", "unexpected end of stream" },
		{ "a: b\n\xff\xfe: c\n", 0, "t.yaml:2:1: ", "UTF-8" },
		{ "a: b\nc: \x01\n", 0, "t.yaml:2:4: ", "control characters" },
		{ "a: b\nc: d\0e\n", 12, "t.yaml:2:5: ", "control characters" },
		{ "a: \"x\\0y\"\n", 0, "t.yaml:1:4: ", "NUL byte" },
		{ "\"a\\0\": x\n", 0, "t.yaml:1:1: ", "NUL byte" },
		{ "a: 1\nb: 2\na: 3\n", 0, "t.yaml:3:1: a: ", "\"a\" stands here twice (first in line 1)" },
		{ "x:\n- y: {k: 1, k: 2}\n", 0, "t.yaml:2:13: x[0].y.k: ", "stands here twice" },
		{ "<<: {a: 1}\n", 0, "t.yaml:1:1: ", "merge keys (<<) are not supported" },
		{ "? [a]\n: b\n", 0, "t.yaml:1:3: ", "a key must be a plain word" },
		{ "a: *x\n", 0, "t.yaml:1:4: ", "has no anchor" },
		{ "a: &x [*x]\n", 0, "t.yaml:1:8: ", "inside the value it repeats" },
		{ "a: !!binary aGk=\n", 0, "t.yaml:1:4: ", "write the plain value without a tag" },
		{ "a: !foo b\n", 0, "t.yaml:1:4: ", "\"!foo\" has no meaning" },
		{ "a: 1\n--- b: 2\n", 0, "t.yaml:2:", "this is not YAML" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loaded l;
		struct span line;

		load_bytes(&l, rows[i].text, rows[i].len ? rows[i].len : strlen(rows[i].text));
		line = text_span(&l.errors);
		if (l.report.count[CONFIG_ERROR] != 1 || !span_starts(line, span_str(rows[i].place)) ||
		    !memmem(line.data, line.len, rows[i].words, strlen(rows[i].words)))
			fail_msg("%s: %.*s", rows[i].text, SPAN_FMT(line));
		unload(&l);
	}
}

TEST(every_node_knows_its_place_and_path)
{
	static const char text[] = "a:\n"
				   "- b: 1\n"
				   "  \"c d\": [x, \"y\"]\n"
				   "- e:\n"
				   "    f: gr\xc3\xbc\xc3\x9f\n"
				   "z: &n {q: 1}\n"
				   "y: *n\n";
	static const struct {
		const char *path;
		uint32_t line, column, key_line, key_column;
	} rows[] = {
		{ "a", 2, 1, 1, 1 },
		{ "a[0]", 2, 3, 0, 0 },
		{ "a[0].b", 2, 6, 2, 3 },
		{ "a[0][\"c d\"]", 3, 10, 3, 3 },
		{ "a[0][\"c d\"][0]", 3, 11, 0, 0 },
		{ "a[0][\"c d\"][1]", 3, 14, 0, 0 },
		{ "a[1]", 4, 3, 0, 0 },
		{ "a[1].e", 5, 5, 4, 3 },
		{ "a[1].e.f", 5, 8, 5, 5 },
		{ "z", 6, 4, 6, 1 },
		{ "z.q", 6, 11, 6, 8 },
		{ "y", 6, 4, 7, 1 },
		{ "y.q", 6, 11, 6, 8 },
	};
	const struct yaml_node *node;
	struct loaded l;
	size_t i = 0;

	load(&l, text);
	assert_int_equal(l.result, 0);
	node = l.documents.list[0]->root;
	while (node) {
		struct text path;

		if (node->first) {
			node = node->first;
		} else {
			while (node && !node->next)
				node = node->parent;
			if (!node)
				break;
			node = node->next;
		}
		text_init(&path);
		yaml_path(node, &path);
		assert_true(i < ARRAY_LEN(rows));
		assert_string_equal(path.data, rows[i].path);
		if (node->line != rows[i].line || node->column != rows[i].column ||
		    node->key_line != rows[i].key_line || node->key_column != rows[i].key_column)
			fail_msg("%s is at %u:%u, key %u:%u", path.data, node->line, node->column,
				 node->key_line, node->key_column);
		text_done(&path);
		i++;
	}
	assert_int_equal(i, ARRAY_LEN(rows));
	unload(&l);
}

TEST(no_bytes_at_no_address_are_no_documents)
{
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	const struct yaml_source source = { .file = SPAN("t.yaml") };
	struct loaded l = { 0 };

	arena_init(&l.arena, 4096);
	config_report_init(&l.report);
	assert_int_equal(yaml_load(&l.arena, &source, &budget, &l.report, &l.documents), 0);
	assert_int_equal(l.documents.count, 0);
	unload(&l);
}

TEST(depth_has_a_bound)
{
	char text[4 * LIMIT_CONFIG_DEPTH];
	struct loaded l;

	for (int depth = LIMIT_CONFIG_DEPTH - 1; depth <= LIMIT_CONFIG_DEPTH + 1; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		load_bytes(&l, text, 2 * (size_t)depth);
		assert_int_equal(l.result, depth <= LIMIT_CONFIG_DEPTH ? 0 : -EINVAL);
		if (depth > LIMIT_CONFIG_DEPTH)
			assert_non_null(strstr(l.errors.data, "t.yaml:1:65: nested deeper than 64 levels"));
		unload(&l);
	}
}

TEST(aliases_cannot_explode)
{
	struct text text;
	struct loaded l;

	text_init(&text);
	text_str(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 12; i++)
		text_fmt(&text, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i,
			 i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	load_bytes(&l, text.data, text.len);
	assert_int_equal(l.result, -EINVAL);
	assert_non_null(strstr(l.errors.data, "aliases included"));
	assert_true(l.arena.total_bytes < 400u * 1024 * 1024);
	unload(&l);

	/* Depth through aliases counts as well. */
	text_clear(&text);
	text_str(&text, "a0: &a0 [x]\n");
	for (int i = 1; i < 70; i++)
		text_fmt(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	load_bytes(&l, text.data, text.len);
	assert_int_equal(l.result, -EINVAL);
	assert_non_null(strstr(l.errors.data, "nested deeper than 64 levels"));
	unload(&l);

	text_clear(&text);
	for (int i = 0; i <= LIMIT_CONFIG_ANCHORS; i++)
		text_fmt(&text, "- &a%d x\n", i);
	load_bytes(&l, text.data, text.len);
	assert_int_equal(l.result, -EINVAL);
	assert_non_null(strstr(l.errors.data, "t.yaml:1025:3: more than 1024 anchors"));
	unload(&l);
	text_done(&text);
}

static const char sample[] = "# comment\n"
			     "binds: &b\n"
			     "- port: 8080 # eight\n"
			     "  \"listeners\": [{routes: [], hostname: '*.x'}]\n"
			     "more: *b\n"
			     "text: |\n"
			     "  a\n"
			     "   b\n"
			     "gr\xc3\xbc\xc3\x9f: ~\n"
			     "---\n"
			     "{\"a\": [1, 2, {\"b\": null}]}\n";

TEST(every_prefix_is_read_or_refused_but_never_crashes)
{
	for (size_t len = 0; len < sizeof(sample); len++) {
		struct loaded l;

		load_bytes(&l, sample, len);
		assert_true(l.result == 0 || l.result == -EINVAL);
		assert_int_equal(l.result != 0, l.report.count[CONFIG_ERROR] > 0);
		unload(&l);
	}
}

TEST(every_changed_byte_is_read_or_refused_but_never_crashes)
{
	static const char bytes[] = "\0\t\n\r :-[]{}*&!|>'\"%@`#,?~<\x7f\x80\xc3\xff";
	char text[sizeof(sample)];

	for (size_t i = 0; i + 1 < sizeof(sample); i++) {
		for (size_t k = 0; k + 1 < sizeof(bytes); k++) {
			struct loaded l;

			memcpy(text, sample, sizeof(sample));
			text[i] = bytes[k];
			load_bytes(&l, text, sizeof(sample) - 1);
			assert_true(l.result == 0 || l.result == -EINVAL);
			if (l.result < 0)
				assert_true(l.report.count[CONFIG_ERROR] > 0);
			unload(&l);
		}
	}
}

static int load_sample(void *context)
{
	struct loaded l;
	int r;

	(void)context;
	load(&l, sample);
	r = l.report.failed ? -ENOMEM : l.result;
	unload(&l);
	return r;
}

TEST(each_allocation_may_fail)
{
	assert_true(alloc_fail_each(load_sample, NULL) > 2);
}

TEST(a_detached_item_is_a_root)
{
	struct yaml_document *document;
	struct loaded l;
	struct text path;

	load(&l, "items:\n- a: {b: 1}\n- c\n");
	document = yaml_detach(&l.arena, l.documents.list[0]->root->first->first);
	assert_non_null(document);
	text_init(&path);
	yaml_path(document->root->first->first, &path);
	assert_string_equal(path.data, "a.b");
	assert_ptr_equal(document->root->first->first->document, document);
	text_done(&path);
	unload(&l);
}
