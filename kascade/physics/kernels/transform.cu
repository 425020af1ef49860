// Discrete Fourier transforms of a few numbers, held in the registers of one thread.

__device__ constexpr double series(double x, int first) {  // cos for first = 0, sin for first = 1, |x| <= pi
    double sum = 0, term = first == 0 ? 1 : x;
    for (int n = first; n < 40; n += 2) {
        sum += term;
        term *= -x * x / ((n + 1) * (n + 2));
    }
    return sum;
}

template <int R> struct Circle {  // exp(-2 pi i k / R), made by the compiler
    float re[R], im[R];
    __device__ constexpr Circle() : re(), im() {
        for (int k = 0; k < R; ++k) {
            const double angle = -2 * 3.14159265358979323846 * (2 * k > R ? k - R : k) / R;
            re[k] = float(series(angle, 0));
            im[k] = float(series(angle, 1));
        }
    }
};

// v exp(-2 pi i k / R): no multiplication where that is 1, -i, -1 or i.
template <int R> __device__ inline float2 turned(float2 v, int k) {
    constexpr Circle<R> circle;
    if (4 * k % R == 0) {
        const int quarter = 4 * k / R % 4;
        if (quarter == 0) return v;
        if (quarter == 1) return make_float2(v.y, -v.x);
        if (quarter == 2) return make_float2(-v.x, -v.y);
        return make_float2(-v.y, v.x);
    }
    return make_float2(circle.re[k % R], circle.im[k % R]) * v;
}

__device__ constexpr int factor_of(int r) {  // 4 if it can be, else the smallest prime
    if (r % 4 == 0 && r > 4) return 4;
    for (int p = 2; p * p <= r; ++p)
        if (r % p == 0) return p;
    return r;
}

template <int R> __device__ inline void transform(float2 (&v)[R]);

// An odd prime length: outputs k and R - k share their sums over pairs of inputs.
template <int R> __device__ inline void prime_transform(float2 (&v)[R]) {
    constexpr Circle<R> circle;
    float2 plus[R / 2 + 1], minus[R / 2 + 1], total = v[0];
#pragma unroll
    for (int n = 1; n <= R / 2; ++n) {
        plus[n] = v[n] + v[R - n];
        minus[n] = v[n] - v[R - n];
        total = total + plus[n];
    }
#pragma unroll
    for (int k = 1; k <= R / 2; ++k) {
        float2 even = v[0], odd = make_float2(0, 0);
#pragma unroll
        for (int n = 1; n <= R / 2; ++n) {
            even = even + circle.re[n * k % R] * plus[n];
            odd = odd + circle.im[n * k % R] * minus[n];
        }
        v[k] = make_float2(even.x - odd.y, even.y + odd.x);
        v[R - k] = make_float2(even.x + odd.y, even.y - odd.x);
    }
    v[0] = total;
}

// Cooley-Tukey in registers: R = A B, inputs n = B a + b, outputs k = c + A d.
template <int R, int A> __device__ inline void composite_transform(float2 (&v)[R]) {
    constexpr int B = R / A;
    float2 t[A][B];
#pragma unroll
    for (int b = 0; b < B; ++b) {
        float2 u[A];
#pragma unroll
        for (int a = 0; a < A; ++a) u[a] = v[B * a + b];
        transform<A>(u);
#pragma unroll
        for (int c = 0; c < A; ++c) t[c][b] = turned<R>(u[c], b * c);
    }
#pragma unroll
    for (int c = 0; c < A; ++c) {
        transform<B>(t[c]);
#pragma unroll
        for (int d = 0; d < B; ++d) v[c + A * d] = t[c][d];
    }
}

template <int R> __device__ inline void transform(float2 (&v)[R]) {
    constexpr int A = factor_of(R);
    if constexpr (R == 2) {
        const float2 difference = v[0] - v[1];
        v[0] = v[0] + v[1];
        v[1] = difference;
    } else if constexpr (A < R) {
        composite_transform<R, A>(v);
    } else if constexpr (R > 2) {
        prime_transform<R>(v);
    }
}
