"""Methods trained with DP-SGD; the only package that imports torch and opacus."""
