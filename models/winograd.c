/* 3x3 convolutions of padding 1 by Winograd's F(4x4, 3x3) and F(6x6, 3x3): 16 places from 36 products a channel instead
   of 144, and 36 from 64 instead of 324.

   Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4 and appendix. Polynomials
   are met at 0, 1, -1, 2, -2, for the larger tiles at 1/2 and -1/2, and at infinity.

   Beside them what enlarges twofold by 2x2 weights, which is added to what was there.

   Pixels are `n h w c` in floats. Tiles of so many places are counted through the batch, row after row; threads take
   blocks of them. They are those of OpenMP, which PyTorch computes by as well: threads of our own would find its still
   waiting for more work, on the same cores. Called by models/winograd.py, which says what is what. */

#include <omp.h>

const int version = 3; /* of what is called from outside: a library made of other words is not used */

#define SIDE 6    /* of a transformed tile of the smaller kind */
#define STEP 4    /* of what it becomes */
#define POINTS 36
#define LARGER 8  /* the side of the larger kind */
#define LANES 8
#define WIDE 16   /* channels out that are computed at a time */
#define TILES 6   /* and tiles */
#define ROWS 4    /* and channels in, of a weights' gradient */
#define NEAR 48   /* pixels that one WIDE of weights after the other is used on */
#define LINE 16   /* floats of a line of the cache */
#define APART 16  /* floats after each tile's channels, so that not all tiles' and points' fall on the same lines */

#define INLINE static inline __attribute__((always_inline)) /* so that each kind of tile is compiled by itself */

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4)));

struct shape { long count, height, width, in, out, step; };
struct place { long y, x, of; };

static const float nothing[4096];

static inline lanes at(const float *from) { return *(const lanes *)from; }
static inline void put(float *to, lanes value) { *(lanes *)to = value; }
static inline lanes all(float x) { return (lanes){x, x, x, x, x, x, x, x}; }

static inline long least(long a, long b) { return a < b ? a : b; }

static inline long across(const struct shape *shape) { return (shape->width + shape->step - 1) / shape->step; }
static inline long down(const struct shape *shape) { return (shape->height + shape->step - 1) / shape->step; }
static inline long tiles_of(const struct shape *shape) { return shape->count * down(shape) * across(shape); }

static inline struct place placed(const struct shape *shape, long tile)
{
  long row = tile / across(shape);
  return (struct place){row % down(shape) * shape->step, tile % across(shape) * shape->step, row / down(shape)};
}

static inline const float *pixel(const float *from, const struct shape *shape, long channels, long of, long y, long x)
{
  if (y < 0 || y >= shape->height || x < 0 || x >= shape->width) return nothing;
  return from + ((of * shape->height + y) * shape->width + x) * channels;
}

/* B^T d */
static inline void into_smaller(lanes o[SIDE], const lanes d[SIDE])
{
  lanes a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
  o[0] = 4 * d[0] - 5 * d[2] + d[4];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + e;
  o[4] = c - e;
  o[5] = 4 * d[1] - 5 * d[3] + d[5];
}

static inline void into_larger(lanes o[LARGER], const lanes d[LARGER])
{
  lanes a = d[2] - 4.25f * d[4] + d[6], b = d[1] - 4.25f * d[3] + d[5];
  lanes c = 0.25f * d[2] - 1.25f * d[4] + d[6], e = 0.5f * d[1] - 2.5f * d[3] + 2 * d[5];
  lanes f = 4 * d[2] - 5 * d[4] + d[6], g = 2 * d[1] - 2.5f * d[3] + 0.5f * d[5];
  o[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + e;
  o[4] = c - e;
  o[5] = f + g;
  o[6] = f - g;
  o[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
}

INLINE void into(lanes *o, const lanes *d, const int side)
{
  if (side == SIDE) into_smaller(o, d);
  else into_larger(o, d);
}

/* A^T m */
static inline void back_smaller(lanes o[STEP], const lanes m[SIDE])
{
  lanes a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
  o[0] = m[0] + a + c;
  o[1] = b + 2 * e;
  o[2] = a + 4 * c;
  o[3] = b + 8 * e + m[5];
}

static inline void back_larger(lanes o[LARGER - 2], const lanes m[LARGER])
{
  lanes a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4], f = m[5] + m[6], g = m[5] - m[6];
  o[0] = m[0] + a + c + 32 * f;
  o[1] = b + 2 * e + 16 * g;
  o[2] = a + 4 * c + 8 * f;
  o[3] = b + 8 * e + 4 * g;
  o[4] = a + 16 * c + 2 * f;
  o[5] = b + 32 * e + g + m[7];
}

INLINE void back(lanes *o, const lanes *m, const int side)
{
  if (side == SIDE) back_smaller(o, m);
  else back_larger(o, m);
}

/* A y, the other way round */
static inline void spread(lanes o[SIDE], const lanes y[STEP])
{
  lanes a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4 * y[2], e = 2 * y[1] + 8 * y[3];
  o[0] = y[0];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + e;
  o[4] = c - e;
  o[5] = y[3];
}

/* Tiles of what is given, transformed: v is `point tile channel`. */
INLINE void transform(const float *x, const struct shape *shape, long first, long tiles, long apart, float *v,
  const int side)
{
  for (long tile = 0; tile < tiles; tile++) {
    struct place place = placed(shape, first + tile);
    const float *pixels[LARGER][LARGER];
    for (int i = 0; i < side; i++)
      for (int j = 0; j < side; j++)
        pixels[i][j] = pixel(x, shape, shape->in, place.of, place.y + i - 1, place.x + j - 1);
    for (long c = 0; c < shape->in; c += LANES) {
      if (c % LINE == 0)
        for (int i = 0; i < side; i++)
          for (int j = 2; j < side; j++) __builtin_prefetch(pixels[i][j] + c + (side - 2) * shape->in);
      lanes half[LARGER][LARGER], line[LARGER], whole[LARGER];
      for (int j = 0; j < side; j++) {
        for (int i = 0; i < side; i++) line[i] = at(pixels[i][j] + c);
        into(half[j], line, side);
      }
      for (int i = 0; i < side; i++) {
        for (int j = 0; j < side; j++) line[j] = half[j][i];
        into(whole, line, side);
        for (int j = 0; j < side; j++) put(v + (i * side + j) * apart + tile * (shape->in + APART) + c, whole[j]);
      }
    }
  }
}

/* The same of gradients, by the transposed of what `finish` does. */
static void transform_gradient(const float *dy, const struct shape *shape, long first, long tiles, long apart, float *m)
{
  for (long tile = 0; tile < tiles; tile++) {
    struct place place = placed(shape, first + tile);
    for (long c = 0; c < shape->out; c += LANES) {
      lanes half[STEP][SIDE], line[STEP], whole[SIDE];
      for (int j = 0; j < STEP; j++) {
        for (int i = 0; i < STEP; i++)
          line[i] = at(pixel(dy, shape, shape->out, place.of, place.y + i, place.x + j) + c);
        spread(half[j], line);
      }
      for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < STEP; j++) line[j] = half[j][i];
        spread(whole, line);
        for (int j = 0; j < SIDE; j++) put(m + (i * SIDE + j) * apart + tile * (shape->out + APART) + c, whole[j]);
      }
    }
  }
}

/* Adds products of so many numbers, `step` apart, and WIDE others. */
INLINE void grow(lanes sum[][2], const float *numbers, long step, const float *others, const int count)
{
  lanes left = at(others), right = at(others + LANES);
#pragma GCC unroll 6
  for (int i = 0; i < count; i++) {
    lanes number = all(numbers[i * step]);
    sum[i][0] += number * left;
    sum[i][1] += number * right;
  }
}

INLINE void keep(lanes sum[][2], float *to, long step, const int count)
{
  for (int i = 0; i < count; i++) {
    put(to + i * step, sum[i][0]);
    put(to + i * step + LANES, sum[i][1]);
  }
}

/* TILES tiles of one point times WIDE of its columns. */
static inline void multiply(const float *v, const float *weights, float *m, long in, long out)
{
  lanes sum[TILES][2];
  for (int i = 0; i < TILES; i++) sum[i][0] = sum[i][1] = all(0);
  for (long c = 0; c < in; c++) grow(sum, v + c, in + APART, weights + WIDE * c, TILES);
  keep(sum, m, out + APART, TILES);
}

/* Products back to places, with what is added to them: bias `out`; what the block was given, as y; nought where `gate`,
   as y, is not above it; nought for what is below it. */
INLINE void finish(const float *m, const struct shape *shape, long first, long tiles, long apart, const float *bias,
  const float *added, const float *gate, int rectified, float *y, const int side)
{
  long out = shape->out;
  const int step = side - 2;
  for (long tile = 0; tile < tiles; tile++) {
    struct place place = placed(shape, first + tile);
    long corner = ((place.of * shape->height + place.y) * shape->width + place.x) * out;
    long rows = least(step, shape->height - place.y), columns = least(step, shape->width - place.x);
    for (long c = 0; c < out; c += LANES) {
      if (c % LINE == 0)
        for (int i = 0; i < rows; i++)
          for (int j = 0; j < step; j++) __builtin_prefetch(y + corner + (i * shape->width + j + step) * out + c, 1);
      lanes half[LARGER][LARGER - 2], line[LARGER], whole[LARGER - 2], constant = bias ? at(bias + c) : all(0);
      for (int j = 0; j < side; j++) {
        for (int i = 0; i < side; i++) line[i] = at(m + (i * side + j) * apart + tile * (out + APART) + c);
        back(half[j], line, side);
      }
      for (int i = 0; i < rows; i++) {
        long here = corner + i * shape->width * out + c;
        for (int j = 0; j < side; j++) line[j] = half[j][i];
        back(whole, line, side);
        for (int j = 0; j < columns; j++, here += out) {
          lanes value = whole[j] + constant;
          if (added) value += at(added + here);
          if (gate) value = (lanes)((at(gate + here) > 0) & (__typeof__(at(gate) > 0))value);
          if (rectified) value = __builtin_ia32_maxps256(all(0), value); /* in this order it leaves a NaN one */
          put(y + here, value);
        }
      }
    }
  }
}

INLINE void convolve_by(const float *x, const float *weights, const float *bias, const float *added, const float *gate,
  int rectified, float *y, const struct shape *shape, long block, long threads, float *v, float *m, const int side)
{
  const int points = side * side;
  long in = shape->in, out = shape->out, v_apart = block * (in + APART), m_apart = block * (out + APART);
  long all_tiles = tiles_of(shape);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (long first = 0; first < all_tiles; first += block) {
    long tiles = least(all_tiles - first, block), thread = omp_get_thread_num();
    float *given = v + thread * points * v_apart, *products = m + thread * points * m_apart;
    transform(x, shape, first, tiles, v_apart, given, side);
    for (int point = 0; point < points; point++)
      for (long column = 0; column < out; column += WIDE)
        for (long tile = 0; tile < tiles; tile += TILES)
          multiply(given + point * v_apart + tile * (in + APART), weights + (point * out + column) * in,
            products + point * m_apart + tile * (out + APART) + column, in, out);
    /* The four that are asked for, each compiled by itself. */
    if (rectified) finish(products, shape, first, tiles, m_apart, bias, 0, 0, 1, y, side);
    else if (gate) finish(products, shape, first, tiles, m_apart, 0, 0, gate, 0, y, side);
    else if (added) finish(products, shape, first, tiles, m_apart, bias, added, 0, 0, y, side);
    else finish(products, shape, first, tiles, m_apart, bias, 0, 0, 0, y, side);
  }
}

/* y = x * weights, and what `finish` adds. weights: `point out/WIDE in WIDE`, transformed. v, m: for each thread, room
   for the points of `block` tiles of channels and APART. in is a multiple of LANES, out of WIDE, block of TILES; a step
   is either kind's. */
void convolve(const float *x, const float *weights, const float *bias, const float *added, const float *gate,
  int rectified, float *y, const struct shape *shape, long block, long threads, float *v, float *m)
{
  if (shape->step == STEP)
    convolve_by(x, weights, bias, added, gate, rectified, y, shape, block, threads, v, m, SIDE);
  else
    convolve_by(x, weights, bias, added, gate, rectified, y, shape, block, threads, v, m, LARGER);
}

/* So many neighbours in a row, by WIDE of the weights for one of the four pixels that each becomes. */
INLINE void enlarge_some(const float *x, const float *weights, const float *bias, const float *added, float *y, long in,
  long out, const int count)
{
  lanes sum[TILES][2];
  for (int i = 0; i < count; i++) {
    sum[i][0] = at(bias) + at(added + 2 * i * out);
    sum[i][1] = at(bias + LANES) + at(added + 2 * i * out + LANES);
  }
  for (long c = 0; c < in; c++) grow(sum, x + c, in, weights + WIDE * c, count);
  keep(sum, y, 2 * out, count);
}

/* y, twice as high and wide as x, = x by weights `2 2 out/WIDE in WIDE`, with a bias and what is added. */
void enlarge(const float *x, const float *weights, const float *bias, const float *added, float *y,
  const struct shape *shape, long threads)
{
  long in = shape->in, out = shape->out, width = shape->width;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (long row = 0; row < shape->count * shape->height; row++)
    for (long first = 0; first < width; first += NEAR)
      for (int corner = 0; corner < 4; corner++)
        for (long c = 0; c < out; c += WIDE) {
          const float *by = weights + (corner * out + c) * in;
          for (long j = first, end = least(first + NEAR, width), some; j < end; j += some) {
            const float *from = x + (row * width + j) * in;
            long to = ((2 * row + corner / 2) * 2 * width + 2 * j + corner % 2) * out + c;
            some = j + TILES <= end ? TILES : 1;
            if (some == TILES) enlarge_some(from, by, bias + c, added + to, y + to, in, out, TILES);
            else enlarge_some(from, by, bias + c, added + to, y + to, in, out, 1);
          }
        }
}

/* ROWS channels in and WIDE out of one point's gradient, over tiles. */
static inline void gather(const float *v, const float *m, float *gradient, long tiles, long in, long out)
{
  lanes sum[ROWS][2];
  for (int i = 0; i < ROWS; i++) {
    sum[i][0] = at(gradient + i * out);
    sum[i][1] = at(gradient + i * out + LANES);
  }
  for (long tile = 0; tile < tiles; tile++) grow(sum, v + tile * (in + APART), 1, m + tile * (out + APART), ROWS);
  keep(sum, gradient, out, ROWS);
}

/* Adds to `gradient`, `point in out`, that of weights transformed for the smaller tiles. v, m: room for POINTS times
   `block` tiles of channels and APART, which all threads share: each point is summed by one of them, tile after tile,
   so that the sum is the same however many there are. */
void weigh(const float *x, const float *dy, float *gradient, const struct shape *shape, long block, long threads,
  float *v, float *m)
{
  long in = shape->in, out = shape->out, v_apart = block * (in + APART), m_apart = block * (out + APART);
  for (long first = 0; first < tiles_of(shape); first += block) {
    long tiles = least(tiles_of(shape) - first, block);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for
      for (long tile = 0; tile < tiles; tile++) {
        transform(x, shape, first + tile, 1, v_apart, v + tile * (in + APART), SIDE);
        transform_gradient(dy, shape, first + tile, 1, m_apart, m + tile * (out + APART));
      }
#pragma omp for
      for (long point = 0; point < POINTS; point++)
        for (long row = 0; row < in; row += ROWS)
          for (long column = 0; column < out; column += WIDE)
            gather(v + point * v_apart + row, m + point * m_apart + column,
              gradient + (point * in + row) * out + column, tiles, in, out);
    }
  }
}
