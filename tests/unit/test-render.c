/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replies as an operator reads them. */
#include "render.h"

#include "cleanup.h"
#include "units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct render_style plain_style = {.legend = true, .now = 100000};

/* Blocks and reply as JSON text, ' for ". */
static void
expect_style(const char *blocks, const char *reply, const struct render_style *style, const char *expected)
{
	CLEANUP_FREE char *blocks_text = strdup(blocks), *reply_text = strdup(reply), *shown = NULL;
	json_t *blocks_json, *reply_json;
	size_t size = 0;
	FILE *out = open_memstream(&shown, &size);

	for (char *p = blocks_text; (p = strchr(p, '\'')); p++)
		*p = '"';
	for (char *p = reply_text; (p = strchr(p, '\'')); p++)
		*p = '"';
	blocks_json = json_loads(blocks_text, 0, NULL);
	reply_json = json_loads(reply_text, 0, NULL);
	assert_non_null(blocks_json);
	assert_non_null(reply_json);
	assert_non_null(out);
	render_reply(out, blocks_json, reply_json, style);
	fclose(out);
	assert_string_equal(shown, expected);
	json_decref(blocks_json);
	json_decref(reply_json);
}

static void
expect(const char *blocks, const char *reply, const char *expected)
{
	expect_style(blocks, reply, &plain_style, expected);
}

/* One value in one format. */
static void
expect_shown(const char *format, const char *value, const char *expected)
{
	char blocks[200], reply[300], line[200];

	snprintf(blocks, sizeof(blocks),
		 "[{'kind':'fields','key':'','columns':[{'title':'t','key':'v','format':'%s'}]}]", format);
	snprintf(reply, sizeof(reply), "{'v':%s}", value);
	snprintf(line, sizeof(line), "t  %s\n", expected);
	expect(blocks, reply, line);
}

static void
test_formats(void **state)
{
	static const struct {
		const char *format, *value, *expected;
	} rows[] = {
		{"text", "'word'", "word"},
		{"text", "''", "-"},
		{"text", "7", "7"},
		{"text", "true", "yes"},
		{"bool", "false", "no"},
		{"text", "1.5", "1.5"},
		{"text", "null", "-"},
		{"count", "0", "0"},
		{"count", "9223372036854775807", "9223372036854775807"},
		{"size", "0", "0B"},
		{"size", "1023", "1023B"},
		{"size", "1024", "1.0KiB"},
		{"size", "1536", "1.5KiB"},
		{"size", "1048575", "1.0MiB"},
		{"size", "67108864", "64.0MiB"},
		{"size", "9223372036854775807", "8.0EiB"},
		{"size", "-2048", "-2.0KiB"},
		{"size", "-9223372036854775808", "-8.0EiB"},
		{"limit", "0", "none"},
		{"limit", "4096", "4.0KiB"},
		{"duration", "999", "999us"},
		{"duration", "1500", "1.5ms"},
		{"duration", "59999999", "59.9s"},
		{"duration", "60000000", "1min0s"},
		{"duration", "3600000000", "1h0min"},
		{"duration", "187200000000", "2d4h"},
		{"duration", "-5", "0us"},
		{"seconds", "59", "59s"},
		{"seconds", "200", "3min20s"},
		{"seconds", "-1", "0s"},
		{"since", "0", "-"},
		{"since", "99990", "10s"},
		{"since", "100010", "0s"},
		{"list", "['a','b']", "a, b"},
		{"list", "[]", "-"},
		{"any", "['a','b']", "a, b"},
		{"any", "[]", "any"},
		{"name", "'0123456789012345678901234567890123456789 is 48.'",
		 "0123456789012345678901234567890123456789 is 48."},
		{"name",
		 "'\xc3\xa4"
		 "123456789012345678901234567890123456789 is 49, too long'",
		 "\xc3\xa4"
		 "123456789012345678901234567890123456789 is 49.."},
		{"a format of the future", "12", "12"},
		{"a format of the future", "'x'", "x"},
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		expect_shown(rows[i].format, rows[i].value, rows[i].expected);
}

static void
test_a_table_is_aligned(void **state)
{
	static const char blocks[] = "[{'kind':'table','key':'rows','columns':["
				     "{'title':'NAME','key':'name','format':'text'},"
				     "{'title':'N','key':'n','format':'count'},"
				     "{'title':'DEEP','key':'in.side','format':'size'},"
				     "{'title':'LAST','key':'last','format':'text'}]}]";
	static const char reply[] = "{'rows':[{'name':'a','n':1000,'in':{'side':2048},'last':'x'},"
				    "{'name':'longer name','n':7,'last':'more words'}]}";
	struct render_style bare = plain_style;

	(void) state;
	expect(blocks, reply,
	       "NAME            N    DEEP  LAST\n"
	       "a            1000  2.0KiB  x\n"
	       "longer name     7       -  more words\n");
	bare.legend = false;
	expect_style(blocks, reply, &bare,
		     "a            1000  2.0KiB  x\n"
		     "longer name     7       -  more words\n");
}

static void
test_width_is_counted_in_characters(void **state)
{
	(void) state;
	expect("[{'kind':'table','key':'r','columns':[{'title':'A','key':'a','format':'text'},"
	       "{'title':'B','key':'b','format':'text'}]}]",
	       "{'r':[{'a':'\xc3\xa4\xc3\xb6\xc3\xbc','b':'x'},{'a':'abcd','b':'y'}]}",
	       "A     B\n\xc3\xa4\xc3\xb6\xc3\xbc   x\nabcd  y\n");
}

static void
test_an_empty_table_says_so(void **state)
{
	struct render_style bare = {.legend = false};
	static const char blocks[] = "[{'kind':'table','key':'rows','title':'Rows','empty':'nothing here',"
				     "'columns':[{'title':'A','key':'a','format':'text'}]}]";

	(void) state;
	expect(blocks, "{'rows':[]}", "Rows\nnothing here\n");
	expect_style(blocks, "{'rows':[]}", &bare, "");
	expect(blocks, "{}", "");
	expect(blocks, "{'rows':7}", "");
}

static void
test_fields_leave_out_what_is_not_there(void **state)
{
	static const char blocks[] = "[{'kind':'fields','key':'','columns':["
				     "{'title':'one','key':'one','format':'text'},"
				     "{'title':'a long title','key':'absent','format':'text'},"
				     "{'title':'three','key':'a.b','format':'count'}]},"
				     "{'kind':'fields','key':'more','title':'More','columns':["
				     "{'title':'x','key':'x','format':'text'}]},"
				     "{'kind':'fields','key':'absent','title':'Absent','columns':[]}]";

	(void) state;
	expect(blocks, "{'one':'1','a':{'b':3},'more':{'x':'y'}}", "one    1\nthree  3\n\nMore\nx  y\n");
}

static void
test_maps_show_what_nobody_knows_beforehand(void **state)
{
	(void) state;
	expect("[{'kind':'map','key':'m','title':'words'}]",
	       "{'m':{'entries':5,'mode':'fast','inner':{'deep':true},'none':[]}}",
	       "words\nentries     5\nmode        fast\ninner.deep  yes\nnone        -\n");
	expect("[{'kind':'map','key':'m','title':'words'}]", "{'m':{}}", "");
}

static void
test_lines(void **state)
{
	(void) state;
	expect("[{'kind':'lines','key':'l'}]", "{'l':['one','two',3]}", "one\ntwo\n");
	expect("[{'kind':'lines','key':'l'}]", "{'l':'one'}", "one\n");
	expect("[{'kind':'lines','key':'l'}]", "{'l':[]}", "");
}

static void
test_bars_are_shares_of_the_greatest(void **state)
{
	(void) state;
	expect("[{'kind':'table','key':'r','columns':[{'title':'N','key':'n','format':'count'},"
	       "{'title':'SHARE','key':'n','format':'bar'}]}]",
	       "{'r':[{'n':240},{'n':120},{'n':1},{'n':0}]}",
	       "  N  SHARE\n240  ########################\n120  ############\n  1  #\n  0  \n");
}

static void
test_control_characters_are_not_passed_on(void **state)
{
	(void) state;
	expect_shown("text", "'a\\u001b[31mb\\u0007\\u007f\\nc'", "a?[31mb???c");
	/* C1: CSI is U+009B; U+00A0 is a letter's neighbour and harmless. */
	expect_shown("text",
		     "'\xc2\x9b"
		     "31m\xc2\xa0x'",
		     "?31m\xc2\xa0x");
	expect("[{'kind':'map','key':'m'}]", "{'m':{'ke\\u001by':'v\\u001b'}}", "ke?y  v?\n");
	expect("[{'kind':'lines','key':'l'}]", "{'l':['\\u001b]0;title\\u0007']}", "?]0;title?\n");
}

static void
test_states_are_coloured_on_a_terminal_only(void **state)
{
	static const char blocks[] =
		"[{'kind':'table','key':'r','columns':[{'title':'STATE','key':'s','format':'state'},"
		"{'title':'X','key':'x','format':'text'}]}]";
	static const char reply[] = "{'r':[{'s':'ready','x':'ready'},{'s':'failed','x':'1'},{'s':'odd','x':'2'}]}";
	struct render_style colour = {.colour = true};

	(void) state;
	expect_style(blocks, reply, &colour, "\033[32mready\033[0m   ready\n\033[31mfailed\033[0m  1\nodd     2\n");
	expect(blocks, reply, "STATE   X\nready   ready\nfailed  1\nodd     2\n");
	/* Of a line its first word. */
	expect_style("[{'kind':'lines','key':'l'}]", "{'l':['bad  one','warning','worse bad','note two','']}", &colour,
		     "\033[31mbad\033[0m  one\n\033[33mwarning\033[0m\nworse bad\nnote two\n\n");
	expect("[{'kind':'lines','key':'l'}]", "{'l':['bad one']}", "bad one\n");
}

static void
test_numbers_with_a_point(void **state)
{
	(void) state;
	expect_shown("real", "0.0123456", "0.0123");
	expect_shown("real", "999.4", "999");
	expect_shown("real", "1234567.8", "1234568");
	expect_shown("real", "-1234567.8", "-1234568");
	expect_shown("real", "16", "16");
	expect_shown("number", "'>= 5'", ">= 5");
}

static void
test_odd_descriptions_do_no_harm(void **state)
{
	(void) state;
	expect("[]", "{'a':1}", "");
	expect("[{}]", "{'a':1}", "");
	expect("[7,{'kind':'hologram','key':''},{'kind':'fields','key':'','columns':[{'title':'t'},7,"
	       "{'title':'a','key':'a','format':'text'}]}]",
	       "{'a':1}", "\na  1\n");
	expect("[{'kind':'fields','key':'a','columns':[]}]", "{'a':7}", "");
	expect("[{'kind':'table','key':'a.b.c','columns':[]}]", "{'a':{'b':7}}", "");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_a_table_is_aligned),
		cmocka_unit_test(test_width_is_counted_in_characters),
		cmocka_unit_test(test_an_empty_table_says_so),
		cmocka_unit_test(test_fields_leave_out_what_is_not_there),
		cmocka_unit_test(test_maps_show_what_nobody_knows_beforehand),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bars_are_shares_of_the_greatest),
		cmocka_unit_test(test_control_characters_are_not_passed_on),
		cmocka_unit_test(test_states_are_coloured_on_a_terminal_only),
		cmocka_unit_test(test_numbers_with_a_point),
		cmocka_unit_test(test_odd_descriptions_do_no_harm),
	};

	return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
