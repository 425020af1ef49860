// Complex arithmetic on float2; put in front of every other source.

__device__ inline float2 operator+(float2 a, float2 b) { return make_float2(a.x + b.x, a.y + b.y); }
__device__ inline float2 operator-(float2 a, float2 b) { return make_float2(a.x - b.x, a.y - b.y); }
__device__ inline float2 operator*(float2 a, float2 b) {
    return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}
__device__ inline float2 operator*(float s, float2 a) { return make_float2(s * a.x, s * a.y); }
__device__ inline float2 conjugate(float2 a) { return make_float2(a.x, -a.y); }
__device__ inline float product(float2 a, float2 b) { return a.x * b.x + a.y * b.y; }  // Re(conj(a) b)
