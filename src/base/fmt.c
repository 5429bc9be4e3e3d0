/* Formatted text without a libc; see fmt.h. Used by the log; no state, no allocation. */
#include "base/fmt.h"
#include "base/mem.h"

struct sink {
	char *out;
	size_t size, len;
};

struct spec {
	bool zero, left;
	int width, precision; /* precision -1: none given */
	int length;	      /* in bytes of the argument: 1, 2, 4, 8 */
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size)
		s->out[s->len] = c;
	s->len++;
}

static void put_padded(struct sink *s, const struct spec *sp, const char *text, int len, int zeros)
{
	int pad = sp->width - len - zeros;

	for (; !sp->left && pad > 0; pad--)
		put(s, ' ');
	if (zeros > 0 && *text == '-') {
		put(s, *text++);
		len--;
	}
	for (; zeros > 0; zeros--)
		put(s, '0');
	for (int i = 0; i < len; i++)
		put(s, text[i]);
	for (; sp->left && pad > 0; pad--)
		put(s, ' ');
}

static void put_number(struct sink *s, const struct spec *sp, uint64_t v, unsigned base, bool neg,
	const char *digits)
{
	char text[24];
	int at = sizeof(text), zeros;

	do {
		text[--at] = digits[v % base];
		v /= base;
	} while (v);
	zeros = sp->precision - ((int)sizeof(text) - at);
	if (sp->precision < 0 && sp->zero && !sp->left)
		zeros = sp->width - ((int)sizeof(text) - at) - neg;
	if (neg)
		text[--at] = '-';
	put_padded(s, sp, text + at, (int)sizeof(text) - at, zeros > 0 ? zeros : 0);
}

static int read_number(const char **format, va_list *args)
{
	int v = 0;

	if (**format == '*') {
		(*format)++;
		return va_arg(*args, int);
	}
	for (; **format >= '0' && **format <= '9' && v < 10000; (*format)++)
		v = v * 10 + (**format - '0');
	return v;
}

static struct spec read_spec(const char **format, va_list *args)
{
	struct spec sp = {.precision = -1, .length = 4};

	for (;; (*format)++) {
		if (**format == '0')
			sp.zero = true;
		else if (**format == '-')
			sp.left = true;
		else
			break;
	}
	sp.width = read_number(format, args);
	if (**format == '.') {
		(*format)++;
		sp.precision = read_number(format, args);
	}
	for (;; (*format)++) {
		if (**format == 'l' || **format == 'z')
			sp.length = 8;
		else if (**format == 'h')
			sp.length = sp.length == 2 ? 1 : 2;
		else
			break;
	}
	return sp;
}

static uint64_t read_unsigned(const struct spec *sp, va_list *args)
{
	uint64_t v = sp->length == 8 ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);

	return sp->length == 8 ? v : v & ((1ull << (sp->length * 8)) - 1);
}

static void put_string(struct sink *s, const struct spec *sp, const char *text)
{
	int len = 0;

	if (!text)
		text = "(null)";
	while ((sp->precision < 0 || len < sp->precision) && text[len])
		len++;
	put_padded(s, sp, text, len, 0);
}

static void put_conversion(struct sink *s, const struct spec *sp, char c, va_list *args)
{
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	int64_t v;
	char one;

	switch (c) {
	case 'd':
	case 'i':
		v = sp->length == 8 ? va_arg(*args, int64_t) : va_arg(*args, int);
		put_number(s, sp, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, lower);
		break;
	case 'u':
		put_number(s, sp, read_unsigned(sp, args), 10, false, lower);
		break;
	case 'x':
		put_number(s, sp, read_unsigned(sp, args), 16, false, lower);
		break;
	case 'X':
		put_number(s, sp, read_unsigned(sp, args), 16, false, upper);
		break;
	case 'p':
		put_number(s, sp, (uintptr_t)va_arg(*args, void *), 16, false, lower);
		break;
	case 'c':
		one = (char)va_arg(*args, int);
		put_padded(s, sp, &one, 1, 0);
		break;
	case 's':
		put_string(s, sp, va_arg(*args, const char *));
		break;
	default:
		put(s, c);
	}
}

int fmt_vprint(char *out, size_t size, const char *format, va_list args)
{
	struct sink s = {out, size, 0};
	va_list copy;

	va_copy(copy, args);
	for (; *format; format++) {
		struct spec sp;

		if (*format != '%') {
			put(&s, *format);
			continue;
		}
		format++;
		sp = read_spec(&format, &copy);
		if (!*format)
			break;
		put_conversion(&s, &sp, *format, &copy);
	}
	va_end(copy);
	if (size)
		out[s.len < size ? s.len : size - 1] = 0;
	return (int)s.len;
}

int fmt_print(char *out, size_t size, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = fmt_vprint(out, size, format, args);
	va_end(args);
	return len;
}
