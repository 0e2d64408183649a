#ifndef LOG_H
#define LOG_H

/* Lines on their way to a file. Whoever writes them never waits for who reads
 * the file: then lines are dropped, and counted. Any thread may write. */
typedef struct Log Log;

#define LOG_LINE_MAX 512 /* bytes: what is longer is cut */

/* Returns a log that ends up in an open file; or NULL, and then errno says why.
 */
Log *log_new(int file);

/* Adds a line, as printf() would. */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
void log_line(Log *log, const char *format, ...);

/* Waits until all is in the file, and frees the log. */
void log_destroy(Log *log);

#endif
