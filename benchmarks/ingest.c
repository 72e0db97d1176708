/* The least that storing the same rows can cost: bind, insert, commit, by the system's libsqlite3.
 *
 *   ingest FILE.db SCHEMA.sql ROWS INDEXES.sql
 *
 * ROWS (made by benchmarks/ingest.py) is read into memory first: u32 statements, each u32 length and SQL
 * text; then rows of u8 statement and, for each of its parameters, u8 type ('i' i64, 'r' double, 't' u32
 * length and bytes, 'n'); u8 255 commits. Prints the seconds from the first BEGIN to the last COMMIT.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMIT 255

static void check(int code, sqlite3 *db, const char *what)
{
	if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
		return;
	fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static char *read_whole(const char *path, long *size)
{
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		exit(1);
	}
	fseek(file, 0, SEEK_END);
	*size = ftell(file);
	rewind(file);
	char *data = malloc(*size + 1);
	if (!data || fread(data, 1, *size, file) != (size_t)*size) {
		perror(path);
		exit(1);
	}
	data[*size] = 0;
	fclose(file);
	return data;
}

static uint32_t u32(const char **at)
{
	uint32_t value;
	memcpy(&value, *at, sizeof(value));
	*at += sizeof(value);
	return value;
}

static const char *bind(sqlite3_stmt *statement, int position, const char *at)
{
	int64_t integer;
	double real;
	uint32_t length;

	switch (*at++) {
	case 'i':
		memcpy(&integer, at, 8);
		sqlite3_bind_int64(statement, position, integer);
		return at + 8;
	case 'r':
		memcpy(&real, at, 8);
		sqlite3_bind_double(statement, position, real);
		return at + 8;
	case 't':
		length = u32(&at);
		sqlite3_bind_text(statement, position, at, (int)length, SQLITE_STATIC);
		return at + length;
	default:
		sqlite3_bind_null(statement, position);
		return at;
	}
}

int main(int argc, char **argv)
{
	sqlite3 *db;
	sqlite3_stmt *statements[COMMIT];
	struct timespec begun, ended;
	long size;
	long rows = 0;

	if (argc != 5)
		return 2;
	check(sqlite3_open(argv[1], &db), NULL, argv[1]);
	check(sqlite3_exec(db, read_whole(argv[2], &size), NULL, NULL, NULL), db, argv[2]);
	check(sqlite3_exec(db, read_whole(argv[4], &size), NULL, NULL, NULL), db, argv[4]);

	const char *at = read_whole(argv[3], &size), *end = at + size;
	uint32_t count = u32(&at);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t length = u32(&at);
		check(sqlite3_prepare_v2(db, at, (int)length, &statements[i], NULL), db, "prepare");
		at += length;
	}

	clock_gettime(CLOCK_MONOTONIC, &begun);
	check(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), db, "BEGIN");
	while (at < end) {
		uint8_t which = (uint8_t)*at++;
		if (which == COMMIT) {
			check(sqlite3_exec(db, "COMMIT; BEGIN IMMEDIATE", NULL, NULL, NULL), db, "COMMIT");
			continue;
		}
		sqlite3_stmt *statement = statements[which];
		int parameters = sqlite3_bind_parameter_count(statement);
		for (int position = 1; position <= parameters; position++)
			at = bind(statement, position, at);
		check(sqlite3_step(statement), db, "INSERT");
		sqlite3_reset(statement);
		rows++;
	}
	check(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), db, "COMMIT");
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("%ld %.6f %s\n", rows, (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9,
	       sqlite3_libversion());
	return 0;
}
