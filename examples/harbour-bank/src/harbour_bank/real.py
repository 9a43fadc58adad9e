"""placeholder"""


async def demonstrate_real(bundle, who, real, report): ...
