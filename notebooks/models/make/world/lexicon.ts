// The closed little world: every fact in it, with its English and its Chinese words. Next to read: phrases.ts, how one asks.

/** One thing with both its names. */
export interface Word {
  readonly en: string;
  readonly zh: string;
}

export type FactKind =
  | "colour"
  | "sound"
  | "food"
  | "legs"
  | "capital"
  | "country"
  | "opposite"
  | "day"
  | "month"
  | "family";

/** One fact: `answer` answers the questions of its kind about `subject`, by way of `relation` where the kind has several. */
export interface Fact {
  readonly kind: FactKind;
  readonly subject: Word;
  readonly relation?: Word;
  readonly answer: Word;
}

/** "cat 猫, dog 狗" as words. */
function words(list: string): Word[] {
  return list.split(",").map((pair) => {
    const [en, zh] = pair.trim().split(" ") as [string, string];
    return { en, zh };
  });
}

/** "cat 猫 = meow 喵喵, ..." as facts. */
function facts(kind: FactKind, list: string, relation?: Word): Fact[] {
  return list.split(",").map((line) => {
    const [subject, answer] = line.split("=").map((side) => words(side)[0]) as [Word, Word];
    return relation ? { kind, subject, relation, answer } : { kind, subject, answer };
  });
}

const colours = facts(
  "colour",
  `sky 天空 = blue 蓝色, sea 大海 = blue 蓝色, jeans 牛仔裤 = blue 蓝色, grass 草 = green 绿色, frog 青蛙 = green 绿色,
  leaf 树叶 = green 绿色, cucumber 黄瓜 = green 绿色, snow 雪 = white 白色, milk 牛奶 = white 白色, cloud 云 = white 白色,
  salt 盐 = white 白色, coal 煤 = black 黑色, crow 乌鸦 = black 黑色, night 夜晚 = black 黑色, blood 血 = red 红色,
  rose 玫瑰 = red 红色, tomato 番茄 = red 红色, lemon 柠檬 = yellow 黄色, banana 香蕉 = yellow 黄色, sun 太阳 = yellow 黄色,
  carrot 胡萝卜 = orange 橙色, pumpkin 南瓜 = orange 橙色, fox 狐狸 = orange 橙色, chocolate 巧克力 = brown 棕色,
  bear 熊 = brown 棕色, bark 树皮 = brown 棕色, elephant 大象 = grey 灰色, mouse 老鼠 = grey 灰色, stone 石头 = grey 灰色,
  pig 猪 = pink 粉色, flamingo 火烈鸟 = pink 粉色, grape 葡萄 = purple 紫色, eggplant 茄子 = purple 紫色, plum 李子 = purple 紫色`,
);

const sounds = facts(
  "sound",
  `cat 猫 = meow 喵喵, dog 狗 = woof 汪汪, cow 牛 = moo 哞哞, sheep 羊 = baa 咩咩, duck 鸭子 = quack 嘎嘎, pig 猪 = oink 哼哼,
  bee 蜜蜂 = buzz 嗡嗡, frog 青蛙 = ribbit 呱呱, lion 狮子 = roar 吼吼, mouse 老鼠 = squeak 吱吱, bird 小鸟 = tweet 啾啾, hen 母鸡 = cluck 咯咯`,
);

const foods = facts(
  "food",
  `cat 猫 = fish 鱼, bear 熊 = fish 鱼, penguin 企鹅 = fish 鱼, dog 狗 = bones 骨头, cow 牛 = grass 草, sheep 羊 = grass 草,
  panda 熊猫 = bamboo 竹子, rabbit 兔子 = carrots 胡萝卜, donkey 驴 = carrots 胡萝卜, monkey 猴子 = bananas 香蕉, elephant 大象 = bananas 香蕉,
  lion 狮子 = meat 肉, wolf 狼 = meat 肉, tiger 老虎 = meat 肉, mouse 老鼠 = cheese 奶酪, bird 小鸟 = seeds 种子, horse 马 = hay 干草,
  frog 青蛙 = flies 苍蝇, spider 蜘蛛 = flies 苍蝇, hen 母鸡 = corn 玉米, pig 猪 = corn 玉米, duck 鸭子 = bread 面包`,
);

const legs = facts(
  "legs",
  `cat 猫 = 4 4, dog 狗 = 4 4, cow 牛 = 4 4, horse 马 = 4 4, lion 狮子 = 4 4, rabbit 兔子 = 4 4, duck 鸭子 = 2 2, hen 母鸡 = 2 2, bird 小鸟 = 2 2,
  penguin 企鹅 = 2 2, bee 蜜蜂 = 6 6, ant 蚂蚁 = 6 6, fly 苍蝇 = 6 6, spider 蜘蛛 = 8 8, fish 鱼 = 0 0, snake 蛇 = 0 0`,
);

const capitals = facts(
  "capital",
  `Lorva 洛瓦 = Mirel 米瑞, Tandor 坦多 = Kesh 克什, Belmar 贝玛 = Orin 奥林, Fenia 芬尼 = Lusk 鲁克, Garon 加隆 = Pell 佩尔,
  Hestia 赫斯 = Dovin 多文, Iskar 伊卡 = Rama 拉玛, Jolin 乔林 = Vasto 瓦斯, Kadia 卡迪 = Nemo 尼莫, Morda 莫达 = Tiva 蒂瓦,
  Nuria 努里 = Selka 塞卡, Olvan 奥凡 = Brin 布林, Pirova 皮罗 = Zeno 泽诺, Wenlo 文洛 = Cairn 凯恩`,
);

/** Asked backwards: of which country is this the capital? */
const countries = capitals.map(({ subject, answer }): Fact => ({ kind: "country", subject: answer, answer: subject }));

const opposites = words(
  `big 大, small 小, hot 热, cold 冷, long 长, short 短, fast 快, slow 慢, new 新, old 旧, high 高, low 低, wet 湿, dry 干, open 开, closed 关,
  full 满, empty 空, good 好, bad 坏, rich 富, poor 穷, early 早, late 晚, near 近, far 远, left 左, right 右, up 上, down 下, hard 硬, soft 软,
  thick 厚, thin 薄, clean 干净, dirty 脏, happy 高兴, sad 难过, strong 强, weak 弱, sweet 甜, bitter 苦, loud 吵, quiet 静, inside 里面, outside 外面`,
).map((subject, i, all): Fact => ({ kind: "opposite", subject, answer: all[i ^ 1] as Word }));

/** Each item of a circle with the next one and the one before. */
function circle(kind: FactKind, items: readonly Word[], after: Word, before: Word): Fact[] {
  return items.flatMap((subject, i): Fact[] => [
    { kind, subject, relation: after, answer: items[(i + 1) % items.length] as Word },
    { kind, subject, relation: before, answer: items[(i + items.length - 1) % items.length] as Word },
  ]);
}

const days = circle(
  "day",
  words(
    "Monday 星期一, Tuesday 星期二, Wednesday 星期三, Thursday 星期四, Friday 星期五, Saturday 星期六, Sunday 星期日",
  ),
  { en: "after", zh: "后一天" },
  { en: "before", zh: "前一天" },
);

const months = circle(
  "month",
  words(
    `January 一月, February 二月, March 三月, April 四月, May 五月, June 六月, July 七月, August 八月, September 九月, October 十月,
    November 十一月, December 十二月`,
  ),
  { en: "after", zh: "下一个月" },
  { en: "before", zh: "上一个月" },
);

/** Four families: father, mother, son, daughter. */
const families = [
  "Adam 亚当, Lena 莉娜, Tom 汤姆, Mia 米娅",
  "Paul 保罗, Rosa 罗莎, Leo 利奥, Nina 妮娜",
  "Karl 卡尔, Vera 薇拉, Finn 芬恩, Ella 艾拉",
  "Hugo 雨果, Ida 艾达, Max 马克, Zoe 佐伊",
].flatMap((members): Fact[] => {
  const [father, mother, son, daughter] = words(members) as [Word, Word, Word, Word];
  const [fatherOf, motherOf, sisterOf, brotherOf, wifeOf, husbandOf] = words(
    "father 爸爸, mother 妈妈, sister 妹妹, brother 哥哥, wife 妻子, husband 丈夫",
  ) as [Word, Word, Word, Word, Word, Word];
  const fact = (subject: Word, relation: Word, answer: Word): Fact => ({ kind: "family", subject, relation, answer });
  return [
    fact(son, fatherOf, father),
    fact(son, motherOf, mother),
    fact(son, sisterOf, daughter),
    fact(daughter, fatherOf, father),
    fact(daughter, motherOf, mother),
    fact(daughter, brotherOf, son),
    fact(father, wifeOf, mother),
    fact(mother, husbandOf, father),
  ];
});

/** Everything there is to know, in a fixed order. */
export const allFacts: readonly Fact[] = [
  ...colours,
  ...sounds,
  ...foods,
  ...legs,
  ...capitals,
  ...countries,
  ...opposites,
  ...days,
  ...months,
  ...families,
];

/** Every pair of names in the world, one English name for each Chinese one, for questions of translation. */
export const allWords: readonly Word[] = [
  ...new Map(
    allFacts
      .flatMap(({ subject, answer }) => [answer, subject])
      .reverse()
      .map((word) => [word.zh, word]),
  ).values(),
].filter(({ en, zh }) => en !== zh);

/** Short words that lists are made of. */
export const listWords: readonly string[] =
  "cat dog cow pig hen fox sun sky sea red blue gold pink tall big tiny hot cold fish milk rose tree star moon rain wind boat ball book cup hat box bed door key map pen ring road ship".split(
    " ",
  );
