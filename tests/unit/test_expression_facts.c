/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions over everything that they can read: values, by point. */
#include <errno.h>
#include <malloc.h>

#include "tests/unit/expression_world.h"
#include "user/base/mem.h"

/* ---- values as text, which names every type but for the difference of texts and others */

static const struct {
	const char *text;
	const char *value; /* NULL: none */
} values[] = {
	/* request */
	{ "request.method", "GET" },
	{ "request.pathAndQuery", "/a/b?x=1&y=%41+b&x=2" },
	{ "request.host", "Shop.example.com:8443" },
	{ "request.scheme", "https" },
	{ "request.version", "HTTP/1.1" },
	{ "request.headers[\"X-TEAM\"]", " ops " },
	{ "request.headers.missing", NULL },
	{ "request.headers['x-two']", "good, bad" },
	{ "request.headers['x-hole']", ", b" },
	{ "request.headers.cookie", "a=1; session=s3; b=2=3" },
	{ "request.headers.cookie('session')", "s3" },
	{ "request.headers.cookie('b')", "2=3" },
	{ "request.headers.cookie('none')", NULL },
	{ "request.pathAndQuery.query('x')", "[\"1\",\"2\"]" },
	{ "request.uri.query('y')[0]", "A b" },
	{ "request.uri.query('z')", NULL },
	{ "'1' in request.pathAndQuery.query('x')", "true" },
	{ "request.startTime", "2023-11-14T22:13:20.000000Z" },
	{ "request.endTime - request.startTime", "1.5s" },
	{ "request.endTime - request.startTime > duration('1s')", "true" },
	{ "request.startTime - request.endTime", NULL },
	{ "request.startTime < request.endTime", "true" },
	/* source, destination */
	{ "source.address", "10.1.2.3" },
	{ "source.port", "4567" },
	{ "source.rawAddress", "2001:db8:1:2:3::4" },
	{ "source.rawPort", "80" },
	{ "source.address == '10.1.2.3'", "true" },
	{ "source.address == '::ffff:10.1.2.3'", "true" },
	{ "'::ffff:0a01:203' == source.address", "true" },
	{ "source.rawAddress == '2001:0DB8:1:2:3:0:0:4'", "true" },
	{ "source.address != '10.1.2.4'", "true" },
	{ "source.address == source.rawAddress", "false" },
	{ "source.address == jwt.ip", "true" },
	{ "source.address in ['10.1.2.4', '::ffff:10.1.2.3']", "true" },
	{ "source.address in jwt.groups", "false" },
	{ "source.address.startsWith('10.')", "true" },
	{ "'client ' + source.address", "client 10.1.2.3" },
	{ "string(source.address)", "10.1.2.3" },
	{ "cidr('10.0.0.0/8').containsIP(source.address)", "true" },
	{ "cidr('10.1.2.3').containsIP(source.address)", "true" },
	{ "cidr('10.0.0.1/8').containsIP(source.address)", "true" },
	{ "cidr('::ffff:10.0.0.0/104').containsIP(source.address)", "true" },
	{ "cidr('11.0.0.0/8').containsIP(source.address)", "false" },
	{ "cidr('0.0.0.0/0').containsIP(source.address)", "true" },
	{ "cidr('::/0').containsIP(source.address)", "false" },
	{ "cidr('0.0.0.0/0').containsIP(source.rawAddress)", "false" },
	{ "cidr('::/0').containsIP(source.rawAddress)", "true" },
	{ "cidr('2001:db8::/32').containsIP(source.rawAddress)", "true" },
	{ "cidr('2001:db8:1:3::/64').containsIP(source.rawAddress)", "false" },
	{ "cidr('10.0.0.0/8').containsIP('10.2.0.0')", "true" },
	{ "cidr('10.0.0.0/8').containsIP(jwt.ip)", "true" },
	{ "cidr('10.0.0.0/8').containsIP(jwt.sub)", NULL },
	{ "cidr('10.0.0.0/8').containsIP(ip(jwt.ip))", "true" },
	{ "cidr('10.0.0.0/8')", "10.0.0.0/8" },
	{ "isIP(jwt.ip) && !isIP(jwt.sub)", "true" },
	{ "ipPrefix(source.rawAddress, 64)", "2001:db8:1:2::/64" },
	{ "ipPrefix(source.address, 64)", "10.1.2.3/32" },
	{ "ipPrefix(source.rawAddress, 129)", NULL },
	{ "ipPrefix(source.rawAddress, 0)", "::/0" },
	{ "source.subject + '|' + source.subjectCn + '|' + source.issuer", "CN=front|front|CN=ca" },
	{ "source.spiffeId", "spiffe://td/ns/web/sa/front" },
	{ "source.identity.trustDomain + source.identity.namespace + source.identity.serviceAccount",
	  "tdwebfront" },
	{ "'front.example' in source.subjectAltNames", "true" },
	{ "source.subjectAltNames.exists(n, n.startsWith('spiffe://td/'))", "true" },
	{ "destination.address + ':' + string(destination.port)", "192.0.2.1:8443" },
	{ "destination.hostname", "shop.example.com" },
	/* claims, keys, users */
	{ "jwt.sub", "alice" },
	{ "jwt['sub']", "alice" },
	{ "jwt[\"https://x/role\"]", "r" },
	{ "jwt.org.name", "acme" },
	{ "jwt.org.roles.admin", "true" },
	{ "jwt.org['roles']['admin']", "true" },
	{ "jwt.nobody", NULL },
	{ "jwt.nobody.else", NULL },
	{ "jwt.sub.else", NULL },
	{ "jwt.nothing", NULL },
	{ "jwt.nothing == null", "true" },
	{ "jwt.sub == null", "false" },
	{ "jwt == null", "false" },
	{ "has(jwt)", "true" },
	{ "has(jwt.sub)", "true" },
	{ "has(jwt.nobody)", "false" },
	{ "has(jwt.nothing)", "true" },
	{ "has(jwt.nobody.else)", "false" },
	{ "has(request.headers['x-team'])", "true" },
	{ "has(request.headers.none)", "false" },
	{ "has(source.identity)", "true" },
	{ "has(mcp.tool)", "true" },
	{ "has(mcp.prompt)", "false" },
	{ "has(response.code)", "true" },
	{ "jwt.email", "a\xc3\xa9\"b" },
	{ "jwt.exp", "1700000000" },
	{ "jwt.exp > 1", "true" },
	{ "jwt.exp + 1", "1700000001" },
	{ "jwt.exp + 'a'", NULL },
	{ "jwt.sub + '!'", "alice!" },
	{ "jwt.sub + jwt.scope", "aliceread write" },
	{ "jwt.neg", "-7" },
	{ "jwt.big", "1.8446744073709552e+19" },
	{ "jwt.score * 2 == 1", "true" },
	{ "jwt.score % 2", NULL },
	{ "-jwt.exp < 0", "true" },
	{ "-jwt.sub", NULL },
	{ "jwt.admin && true", "true" },
	{ "!jwt.guest", "true" },
	{ "jwt.sub && true", NULL },
	{ "jwt.sub && false", "false" },
	{ "jwt.sub || true", "true" },
	{ "!jwt.sub", NULL },
	{ "jwt.sub ? 1 : 2", NULL },
	{ "jwt.admin ? jwt.sub : 'x'", "alice" },
	{ "jwt.sub == 5", "false" },
	{ "jwt.sub != 5", "true" },
	{ "jwt.sub < 5", NULL },
	{ "jwt.sub < 'b'", "true" },
	{ "jwt.nobody == jwt.nobody", NULL },
	{ "jwt.sub in ['alice', 'bob']", "true" },
	{ "'dev' in jwt.groups", "true" },
	{ "'dev' in jwt.sub", NULL },
	{ "'name' in jwt.org", "true" },
	{ "'none' in jwt.org", "false" },
	{ "'a' in jwt.mixed && null in jwt.mixed && [2] in jwt.mixed && !(2 in jwt.mixed)", "true" },
	{ "jwt.groups", "[\"ops-eu\",\"dev\"]" },
	{ "jwt.groups[1]", "dev" },
	{ "jwt.groups[2]", NULL },
	{ "jwt.groups[-1]", NULL },
	{ "jwt.groups['a']", NULL },
	{ "jwt.groups == ['ops-eu', 'dev']", "true" },
	{ "jwt.groups == ['dev', 'ops-eu']", "false" },
	{ "jwt.groups.size()", "2" },
	{ "size(jwt.org)", "2" },
	{ "jwt.org", "{\"name\":\"acme\",\"roles\":{\"admin\":true}}" },
	{ "jwt.mixed", "[1,\"a\",null,[2]]" },
	{ "jwt.groups.exists(g, g.startsWith('ops-'))", "true" },
	{ "jwt.groups.exists(g, g == 'none')", "false" },
	{ "jwt.groups.all(g, g.size() > 2)", "true" },
	{ "jwt.groups.all(g, g == 'dev')", "false" },
	{ "jwt.groups.exists_one(g, g == 'dev')", "true" },
	{ "jwt.groups.exists_one(g, g.size() > 2)", "false" },
	{ "jwt.empty.exists(g, true)", "false" },
	{ "jwt.empty.all(g, false)", "true" },
	{ "jwt.sub.exists(g, true)", NULL },
	{ "jwt.mixed.exists(m, m.startsWith('a'))", "true" },
	{ "jwt.mixed.exists(m, m.startsWith('b'))", NULL },
	{ "jwt.mixed.all(m, m.startsWith('b'))", "false" },
	{ "jwt.mixed.all(m, m.startsWith('a'))", NULL },
	{ "jwt.mixed.exists_one(m, m.startsWith('a'))", NULL },
	{ "jwt.org.exists(k, k == 'name')", "true" },
	{ "jwt.groups.map(g, g.upperAscii())", "[\"OPS-EU\",\"DEV\"]" },
	{ "jwt.groups.map(g, g.nobody)", NULL },
	{ "jwt.groups.filter(g, g.contains('-'))", "[\"ops-eu\"]" },
	{ "{'b': 1 + 1, 'a': [jwt.sub, {}]}", "{\"a\":[\"alice\",{}],\"b\":2}" },
	{ "{'b': 1}.b + {'a': 2}['a']", "3" },
	{ "'a' in {'a': 1} && !('b' in {'a': 1})", "true" },
	{ "jwt.org.merge({'name': 'other', 'at': 1, 'name2': []}).filterKeys(k, k in ['name', 'at'])",
	  "{\"at\":1,\"name\":\"other\"}" },
	{ "{}.merge({})", "{}" },
	{ "true ? {'a': 1} : 'b'", "{\"a\":1}" },
	{ "false ? ['a'] : 'b'", "b" },
	{ "{'b': 1}.merge({'a': 2}).a", "2" },
	{ "{'b': 1, 'd': 3}.merge({'a': 2, 'c': 4, 'e': 5, 'd': 6})",
	  "{\"a\":2,\"b\":1,\"c\":4,\"d\":6,\"e\":5}" },
	{ "{'a': 1}.merge({'b': 2}).merge({'a': 3})", "{\"a\":3,\"b\":2}" },
	{ "{'a': 1}.merge(jwt.groups)", NULL },
	{ "jwt.org.filterKeys(k, k == 'name')", "{\"name\":\"acme\"}" },
	{ "jwt.org.filterKeys(k, false)", "{}" },
	{ "request.headers.filterKeys(k, k.startsWith('x-') && k != 'x-utf8')",
	  "{\"x-hole\":[\"\",\"b\"],\"x-number\":\"-12\","
	  "\"x-team\":\" ops \",\"x-two\":[\"good\",\"bad\"]}" },
	{ "response.headers.filterKeys(k, true)['grpc-status']", "14" },
	{ "jwt.groups.map(g, {'name': g})[1].name", "dev" },
	{ "{'a': jwt.none}", NULL },
	{ "jwt.groups.filterKeys(k, true)", NULL },
	{ "metadata.tier", "gold" },
	{ "jwt.org.map(k, k)", "[\"name\",\"roles\"]" },
	{ "jwt.groups.exists(g, [1, 2].exists(n, g.size() == n + 1))", "true" },
	{ "jwt.groups.exists(g, ['dev'].exists(g, g == 'dev') && g == 'ops-eu')", "true" },
	{ "[request.method, 'x']", "[\"GET\",\"x\"]" },
	{ "[request.headers.none, 'x']", NULL },
	{ "apiKey.team + apiKey.key", "a<redacted>" },
	{ "basicAuth.username", "bob" },
	{ "backend.name + backend.type + backend.protocol", "petsmcpmcp" },
	{ "mcp.tool.name + '@' + mcp.tool.target", "read_file@files" },
	{ "mcp.methodName", "tools/call" },
	{ "mcp.sessionId", "s1" },
	{ "mcp.prompt.name", NULL },
	{ "mcp.resource.target", NULL },
	{ "mcp.task.name", NULL },
	{ "mcp.task.target", NULL },
	{ "response.code", "503" },
	{ "response.headers['grpc-status']", "14" },
	/* texts */
	{ "request.path.matches('b$')", "true" },
	{ "request.path.matches('^b')", "false" },
	{ "request.path.matches('^/a/[a-z]$|zzz')", "true" },
	{ "request.host.matches('(?i)^shop')", "true" },
	{ "request.path.matches(r'/\\w+/b')", "true" },
	{ "request.path.matches('/\\\\w+/b')", "true" },
	{ "''.matches('^$')", "true" },
	{ "request.headers.none.matches('a')", NULL },
	{ "request.host.lowerAscii()", "shop.example.com:8443" },
	{ "'aB\xc3\xa9'.upperAscii()", "AB\xc3\xa9" },
	{ "request.headers['x-team'].trim()", "ops" },
	{ "request.headers['x-utf8'].size()", "3" },
	{ "request.headers['x-utf8'].substring(1)", "\xc3\xa9\xe2\x82\xac" },
	{ "request.headers['x-utf8'].substring(1, 2)", "\xc3\xa9" },
	{ "request.path.substring(0, 0)", "" },
	{ "request.path.substring(4)", "" },
	{ "request.path.substring(5)", NULL },
	{ "request.path.substring(-1)", NULL },
	{ "request.path.substring(2, 1)", NULL },
	{ "jwt.scope.split(' ')", "[\"read\",\"write\"]" },
	{ "'a,b,,c'.split(',')", "[\"a\",\"b\",\"\",\"c\"]" },
	{ "'a,b,c'.split(',', 2)", "[\"a\",\"b,c\"]" },
	{ "'a,b'.split(',', 0)", "[]" },
	{ "'a,b'.split(',', -1).size()", "2" },
	{ "''.split(',')", "[\"\"]" },
	{ "'a'.split('')", NULL },
	{ "'/a/b/'.replace('/', '..')", "..a..b.." },
	{ "'abc'.replace('', 'x')", "abc" },
	{ "'aaa'.replace('aa', '')", "a" },
	{ "'a\\tb\\x41\\u00e9\\''", "a\tbA\xc3\xa9'" },
	{ "r'a\\tb'", "a\\tb" },
	/* numbers */
	{ "int(request.headers['x-number'])", "-12" },
	{ "int('12a')", NULL },
	{ "int('')", NULL },
	{ "int('-')", NULL },
	{ "int(jwt.admin)", NULL },
	{ "double('1.5e3')", "1500" },
	{ "double('nan')", NULL },
	{ "double('1.5.')", NULL },
	{ "0.1 + 0.2", "0.30000000000000004" },
	{ "1.0 / 0.0", "inf" },
	{ "string(1.5) + string(true) + string(7)", "1.5true7" },
	{ "duration('1s') + duration('500ms')", "1.5s" },
	{ "duration('1s') - duration('2s')", NULL },
	/* others instead of what is missing */
	{ "default(request.headers.none, 'x')", "x" },
	{ "default(request.headers['x-two'], 'x')", "good, bad" },
	{ "default(jwt.nobody, 'x') == 'x'", "true" },
	{ "default(jwt.nobody, jwt.nobody)", NULL },
	{ "coalesce(jwt.nobody, jwt.nothing, jwt.sub)", "alice" },
	{ "coalesce(jwt.nobody)", NULL },
	{ "coalesce(jwt.nothing) == null", "true" },
	/* bodies */
	{ "request.body.startsWith('{')", "true" },
	{ "json(request.body).model", "m-1" },
	{ "json(request.body)['n'][1] + 1", "3" },
	{ "json(request.body).none", NULL },
	{ "has(json(request.body).model) && !has(json(request.body).none)", "true" },
	{ "json(response.body)[0]", "a" },
	{ "json(response.body).a", NULL },
	{ "response.body.replace('a', 'bb')", "[\"bb\"]" },
	{ "toJson(json(request.body).n)", "[1,2]" },
	{ "toJson(json(request.body))", "{\"model\":\"m-1\",\"n\":[1,2]}" },
	{ "'{\"m\":' + toJson(request.body) + '}'",
	  "{\"m\":\"{\\\"model\\\": \\\"m-1\\\", \\\"n\\\": [1, 2]}\"}" },
	{ "toJson(jwt.email)", "\"a\xc3\xa9\\\"b\"" },
	{ "toJson(jwt.nothing)", "null" },
	{ "toJson(jwt.none)", NULL },
	{ "toJson(jwt.exp)", "1700000000" },
	{ "toJson(duration('1s'))", "\"1s\"" },
};

/* Where the names of the text exist. */
static enum expression_point point_of(const char *text)
{
	if (strstr(text, "request.body"))
		return EXPRESSION_AT_TRANSFORM;
	if (strstr(text, "response.body"))
		return EXPRESSION_AT_ANSWER;
	return strstr(text, "mcp.") && !strstr(text, "sessionId") ? EXPRESSION_AT_MCP : EXPRESSION_AT_END;
}

TEST(every_name_and_function_has_its_value)
{
	struct world world;
	size_t others = 0;

	world_make(&world);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		enum expression_point point = point_of(values[i].text);
		struct expression expression;
		struct span text = { NULL, 0 };
		int result;

		compile(values[i].text, point, &expression);
		expression_scratch_init(&world.scratch);
		result = expression_text(&expression, &world.facts, &text);
		if (result == (values[i].value ? 0 : -ENODATA) &&
		    (!values[i].value || span_eq(text, span_str(values[i].value))))
			continue;
		print_error("%s: %d, \"%.*s\" instead of \"%s\"\n", values[i].text, result, SPAN_FMT(text),
			    values[i].value ? values[i].value : "(none)");
		others++;
	}
	assert_int_equal(others, 0);
}

/* ---- points */

static const struct {
	const char *text;
	uint32_t points; /* bit per enum expression_point */
} points[] = {
	{ "source.address == '10.0.0.1'", 0x1ff },
	{ "destination.port == 1", 0x1ff },
	{ "request.path == 'a'", 0x1fe },
	{ "request.headers.a == 'a'", 0x1fe },
	{ "jwt.sub == 'a'", 0x1fc },
	{ "apiKey.team == 'a'", 0x1fc },
	{ "basicAuth.username == 'a'", 0x1fc },
	{ "metadata.tier == 'a'", 0x1fc },
	{ "backend.name == 'a'", 0x1f0 },
	{ "mcp.tool.name == 'a'", 0x120 },
	{ "response.code == 200", 0x1c0 },
	{ "has(request.endTime)", 0x100 },
	{ "has(mcp)", 0x120 },
	{ "random() < 0.5", 0x1ff },
	{ "request.body == 'a'", 0x08 },
	{ "json(request.body).a == 1", 0x08 },
	{ "response.body == 'a'", 0x80 },
};

TEST(a_name_compiles_only_where_it_exists)
{
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		for (uint32_t point = 0; point < EXPRESSION_POINTS; point++) {
			char error[EXPRESSION_ERROR_BYTES] = "";
			struct expression expression;
			int result =
				expression_compile(span_str(points[i].text), (enum expression_point)point,
						   &arena, &expression, error);

			if (result != (points[i].points >> point & 1 ? 0 : -EINVAL))
				fail_msg("%s at point %u gives %d, %s", points[i].text, point, result, error);
			assert_true(result == 0 || strstr(error, "does not exist here"));
		}
	}
}

TEST(a_refusal_names_what_exists_at_the_point)
{
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;

	assert_int_equal(expression_compile(SPAN("true && jwt.sub == 'a'"), EXPRESSION_AT_CONNECTION, &arena,
					    &expression, error),
			 -EINVAL);
	assert_string_equal(error,
			    "at character 9: jwt does not exist here, only after authentication; for a "
			    "connection there are source, destination");
}

/* Where nothing is known, nothing has a value, and no fact is needed. */
TEST(absent_facts_have_no_value)
{
	static const char *const texts[] = {
		"request.path == ''",
		"request.headers['a'] == ''",
		"request.body == ''",
		"json(request.body)",
		"response.body == ''",
		"json(response.body)",
		"request.pathAndQuery == ''",
		"request.version == 'a'",
		"source.address == '::'",
		"source.port == 0",
		"source.subject == ''",
		"destination.port == 0",
		"destination.hostname == ''",
		"jwt.sub == ''",
		"apiKey.key == ''",
		"basicAuth.username == ''",
		"metadata.tier == ''",
		"request.headers.filterKeys(k, true)",
		"backend.name == ''",
		"mcp.tool.name == ''",
		"response.code == 0",
		"source.identity.namespace == ''",
		"request.startTime == request.startTime",
		"'a' in source.subjectAltNames",
	};
	struct expression_facts facts = { 0 };
	struct expression expression;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct expression_value value;

		compile(texts[i], point_of(texts[i]), &expression);
		value = expression_evaluate(&expression, &facts);
		if (value.type != EXPRESSION_NONE || value.gave_up)
			fail_msg("%s has a value", texts[i]);
	}
	compile("jwt == null && apiKey == null && !has(jwt) && !has(jwt.sub) && !has(source.identity) && "
		"!has(mcp) && !has(request.path)",
		EXPRESSION_AT_END, &expression);
	assert_int_equal(expression_test(&expression, &facts), EXPRESSION_IS_TRUE);
}

/* ---- memory */

/* The sanitizers count every allocation, of libraries as well; without them only growth is seen. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *memory, size_t size),
					      void (*on_free)(const volatile void *memory))
	__attribute__((weak));

static unsigned long allocations;

static void on_malloc(const volatile void *memory, size_t size)
{
	(void)memory;
	(void)size;
	allocations++;
}

static void on_free(const volatile void *memory)
{
	(void)memory;
}

/* matches() runs once before: its automaton grows in the memory of the pattern. */
TEST(evaluation_allocates_nothing)
{
	struct world world;

	if (__sanitizer_install_malloc_and_free_hooks)
		assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
	world_make(&world);
	assert_true(!__sanitizer_install_malloc_and_free_hooks || allocations);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		enum expression_point point = point_of(values[i].text);
		struct expression expression;
		struct mallinfo2 before, after;
		struct span text;

		compile(values[i].text, point, &expression);
		expression_scratch_init(&world.scratch);
		(void)expression_text(&expression, &world.facts, &text);
		mem_fail_nth(0);
		allocations = 0;
		before = mallinfo2();
		for (int round = 0; round < 3; round++) {
			expression_scratch_init(&world.scratch);
			(void)expression_text(&expression, &world.facts, &text);
		}
		after = mallinfo2();
		if (mem_count() || allocations || before.uordblks != after.uordblks)
			fail_msg("%s allocates", values[i].text);
	}
}
